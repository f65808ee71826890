# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bundled dumps, written anew in other formats, with other compressions, and without some pages.

Mirrors makedumpfile's ``diskdump_mod.h`` (``struct disk_dump_header``, ``struct
kdump_sub_header``, ``struct page_desc``) and ``makedumpfile.h`` (flattened format).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import snappy
import zstandard

PAGE = 4096
_FIELDS = struct.Struct("<IiiII")
"""Status, block size, blocks of the sub header, blocks of bitmaps, page frames."""
_FIELDS_AT = 424
_LEVEL_AT = 8
_SPLIT_AT = 12
_OLD_FRAMES_AT = 16
_EXTENTS_AT = 32
"""In the sub header: offset and size of VMCOREINFO, ELF notes, erase information."""
_FRAMES_AT = 80
"""In the sub header: first page frame of a part, and the one behind it."""
_DESCRIPTOR = struct.Struct("<QIIQ")
_NO, _ZLIB, _SNAPPY, _ZSTD = 0, 1, 4, 0x20

COMPRESSIONS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "": (_NO, lambda page: page),
    "zlib": (_ZLIB, lambda page: zlib.compress(page, 1)),
    "snappy": (_SNAPPY, snappy.compress),
    "zstd": (_ZSTD, zstandard.ZstdCompressor(level=1).compress),
}
"""Flag and method of each compression that Python knows, by the names of makedumpfile."""


@dataclass(frozen=True)
class Dump:
    """A dump, taken apart."""

    headers: bytes
    """All before the bitmaps, with VMCOREINFO and ELF notes."""
    pages: Mapping[int, bytes]
    """By number of page frame, ascending."""
    bitmap: bytes
    """The first of two: page frames that there are."""

    @property
    def vmcoreinfo(self) -> bytes:
        return self._extent(0)

    @property
    def notes(self) -> bytes:
        """Those of ELF, with VMCOREINFO among them."""
        return self._extent(1)

    def _extent(self, number: int) -> bytes:
        start, size = struct.unpack_from("<QQ", self.headers, PAGE + _EXTENTS_AT + 16 * number)
        return self.headers[start : start + size]

    def with_pages(self, pages: Mapping[int, bytes], level: int) -> Dump:
        """The same at another level, with other pages."""
        headers = bytearray(self.headers)
        struct.pack_into("<i", headers, PAGE + _LEVEL_AT, level)
        return replace(self, headers=bytes(headers), pages=pages)

    def without_notes(self) -> Dump:
        """The same as a hypervisor writes it that knows nothing of the kernel."""
        headers = bytearray(self.headers)
        # The names of system and machine, all but the latter of which QEMU leaves out.
        headers[12:_FIELDS_AT] = bytes(_FIELDS_AT - 12)
        struct.pack_into("<4Q", headers, PAGE + _EXTENTS_AT, 0, 0, 0, 0)
        return replace(self, headers=bytes(headers))


def clear_notes(data: bytearray) -> None:
    """Take VMCOREINFO and the notes from a dump with page frames of any size."""
    block = _FIELDS.unpack_from(data, _FIELDS_AT)[1]
    struct.pack_into("<4Q", data, block + _EXTENTS_AT, 0, 0, 0, 0)


@cache
def read(path: Path) -> Dump:
    """Take a kdump-compressed dump apart whose pages are in zstd, in zlib, or uncompressed."""
    data = path.read_bytes()
    _, block, sub_blocks, bitmap_blocks, _ = _FIELDS.unpack_from(data, _FIELDS_AT)
    assert data.startswith(b"KDUMP   ")
    assert block == PAGE
    bitmaps = block * (1 + sub_blocks)
    second = bitmaps + block * bitmap_blocks // 2
    descriptors = bitmaps + block * bitmap_blocks
    pages, at, unpacked = {}, descriptors, dict[int, bytes]()
    bits = int.from_bytes(data[second:descriptors], "little")
    for frame in range(bits.bit_length()):
        if bits >> frame & 1:
            offset, size, flags, _ = _DESCRIPTOR.unpack_from(data, at)
            if offset not in unpacked:
                unpacked[offset] = _unpacked(data[offset : offset + size], flags)
            pages[frame] = unpacked[offset]
            at += _DESCRIPTOR.size
    return Dump(data[:bitmaps], pages, data[bitmaps:second])


def _unpacked(data: bytes, flags: int) -> bytes:
    if flags & _ZSTD:
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=PAGE)
    return zlib.decompress(data) if flags & _ZLIB else data


def kdump(dump: Dump, compression: str = "", part: tuple[int, int] | None = None) -> bytes:
    """As makedumpfile writes it; equal pages share their data.

    :param part: first page frame and the one behind the last of a part of a split dump
    """
    flag, compress = COMPRESSIONS[compression]
    headers = bytearray(dump.headers)
    status, *rest = _FIELDS.unpack_from(headers, _FIELDS_AT)
    _FIELDS.pack_into(headers, _FIELDS_AT, status & ~0x27 | flag, *rest)
    if part:
        struct.pack_into("<i", headers, PAGE + _SPLIT_AT, 1)
        struct.pack_into("<QQ", headers, PAGE + _OLD_FRAMES_AT, *part)
        struct.pack_into("<QQ", headers, PAGE + _FRAMES_AT, *part)
    second = bytearray(len(dump.bitmap))
    for frame in dump.pages:
        second[frame // 8] |= 1 << frame % 8
    first, end = part or (0, 8 * len(second))
    own = {frame: page for frame, page in dump.pages.items() if first <= frame < end}
    start = len(headers) + 2 * len(second) + _DESCRIPTOR.size * len(own)
    table, data, places = bytearray(), bytearray(), dict[bytes, tuple[int, int, int]]()
    for page in own.values():
        if page not in places:
            packed = compress(page)
            # What does not become smaller is left as it is.
            kind, packed = (flag, packed) if len(packed) < PAGE else (0, page)
            places[page] = start + len(data), len(packed), kind
            data += packed
        table += _DESCRIPTOR.pack(*places[page], 0)
    return b"".join((headers, dump.bitmap, second, table, data))


def elf(dump: Dump, notes: bytes | None = None) -> bytes:
    """As makedumpfile -E writes it, or QEMU without paging: a segment for each run of pages.

    :param notes: other ones than those of the dump
    """
    notes = dump.notes if notes is None else notes
    runs: list[list[int]] = []
    for frame in dump.pages:
        if runs and frame == runs[-1][1]:
            runs[-1][1] += 1
        else:
            runs.append([frame, frame + 1])
    heads = 64 + 56 * (1 + len(runs))
    start = -(-(heads + len(notes)) // PAGE) * PAGE
    out = [
        struct.pack(
            "<16sHHIQQQIHHHHHH",
            b"\x7fELF\x02\x01\x01", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1 + len(runs), 0, 0, 0,
        ),
        struct.pack("<IIQQQQQQ", 4, 0, heads, 0, 0, len(notes), len(notes), 0),
    ]  # fmt: skip
    at = start
    for first, end in runs:
        size = (end - first) * PAGE
        out.append(struct.pack("<IIQQQQQQ", 1, 7, at, 0, first * PAGE, size, size, 0))
        at += size
    out += [notes, bytes(start - heads - len(notes)), *dump.pages.values()]
    return b"".join(out)


def flattened(data: bytes, piece: int = 60_000) -> bytes:
    """A dump as makedumpfile -F writes it: pieces, and the first page once more at the end."""
    out = [(b"makedumpfile".ljust(16, b"\0") + struct.pack(">qq", 1, 1)).ljust(4096, b"\0")]
    parts = [(at, data[at : at + piece]) for at in range(0, len(data), piece)]
    # Headers are first written before what they say is known.
    parts[0] = 0, bytes(4096) + parts[0][1][4096:]
    for at, part in [*parts, (0, data[:4096])]:
        out += [struct.pack(">qq", at, len(part)), part]
    return b"".join([*out, struct.pack(">qq", -1, -1)])
