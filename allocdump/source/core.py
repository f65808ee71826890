# SPDX-License-Identifier: LGPL-2.1-or-later
"""Formats of core files, and checks for missing parts.

Read from the file's own headers, before drgn or libkdumpfile see it, so that
the usual mistakes get a sentence of their own. Mirrors makedumpfile's
``diskdump_mod.h`` (``struct disk_dump_header``, ``struct kdump_sub_header``,
``struct page_desc``).
"""

from __future__ import annotations

import io
import os
import shlex
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..arrays import Int
from ..errors import DumpError
from .flattened import MAGIC as _FLATTENED
from .flattened import Flattened
from .image import AVML, LIME, VMWARE_STATE, Extent, Reader, may_be_raw

_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip -k"),
    b"\xfd7zXZ\0": ("xz", "unxz -k"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
    b"\x04\x22\x4d\x18": ("lz4", "unlz4 -k"),
}
"""What files compressed as a whole begin with, and what unpacks them and keeps them."""

_KDUMP = b"KDUMP   "
_ELF = b"\x7fELF"
_DISKDUMP = b"DISKDUMP"

# From elf.h: EI_DATA of an ELF header; its e_type.
_BIG_ENDIAN = 2
_EXECUTABLE = (2, 3)
"""ET_EXEC, and ET_DYN of kernels that can be relocated."""

# DUMP_DH_COMPRESSED_*: bits of disk_dump_header.status
_COMPRESSION = {1: "zlib", 2: "lzo", 4: "snappy", 0x20: "zstd"}
_INCOMPLETE = 8

EXCLUDES_ZEROS = 1
"""The bit of makedumpfile's ``-d`` by which all pages of zeros share one."""
_DUMP_LEVEL_USER = 8
_LEVELS = {
    EXCLUDES_ZEROS: "pages of zeros",
    2: "page cache without private data",
    4: "page cache with private data",
    _DUMP_LEVEL_USER: "user data",
    16: "free pages",
}
"""Pages that each bit of makedumpfile's ``-d`` leaves out: DL_EXCLUDE_* in makedumpfile.h."""

_DESCRIPTOR = 24
"""Bytes that tell where the data of a page is: ``struct page_desc``."""
_LAST_DESCRIPTORS, _MOST_DESCRIPTORS = 4096, 1 << 21
"""Descriptors of pages that tell where a kdump has to end, and that are looked at for damage: 48
MiB of them."""

_MOST_SPARSE = 1 << 10
"""A dump is no larger than so many times its flattened file: all but holes is written."""


@dataclass(frozen=True)
class Core:
    """Facts from the headers of a core file."""

    path: str
    format: str
    """``kdump``, ``elf``, ``live``, or of an image of memory: ``LiME``, ``AVML`` or ``raw``."""
    compression: str | None = None
    dump_level: int | None = None
    """makedumpfile's ``-d``; None if the format does not record it."""
    missing_bytes: int = 0
    """Number of bytes missing at the end of the file, as far as the headers tell."""
    behind_end: bool = False
    """Data of some page lies behind the end of the file, as far as was looked."""
    incomplete: bool = False
    """makedumpfile itself marked the dump as incomplete (it ran out of space)."""
    flattened: bool = False
    """It is in makedumpfile's format for pipes."""
    frame_bytes: int = 0
    """Size of a page frame of a kdump-compressed dump."""
    bitmap: tuple[int, int] = (0, 0)
    """Offset and bytes of the map with a bit for each page frame that is in such a dump."""
    at_once: bool = False
    """Of an image: it was saved by a hypervisor that stopped its guest."""

    @property
    def is_image(self) -> bool:
        """It holds memory, and nothing that tells of the kernel."""
        return self.format in ("LiME", "AVML", "raw")

    @property
    def excludes_user_pages(self) -> bool:
        return bool((self.dump_level or 0) & _DUMP_LEVEL_USER)

    @property
    def left_out(self) -> list[str]:
        """Kinds of pages that the dump level leaves out; none if no level is known."""
        return left_out(self.dump_level or 0)

    def describe(self) -> str:
        """For people: ``kdump, zstd, -d 31``."""
        parts = [self.format, self.compression]
        if self.dump_level is not None:
            parts.append(f"-d {self.dump_level}")
        if self.flattened:
            parts.append("flattened")
        return ", ".join(p for p in parts if p)


def left_out(level: int) -> list[str]:
    """Kinds of pages that a level of makedumpfile's ``-d`` leaves out."""
    return [pages for bit, pages in _LEVELS.items() if level & bit]


def looks_like_core(path: str | os.PathLike[str], head: bytes) -> bool:
    """Tell if a file that starts like this is meant to be a core, if perhaps an unusable one."""
    magics = (_KDUMP, _ELF, _FLATTENED, _DISKDUMP, LIME, AVML, *VMWARE_STATE, *_COMPRESSED)
    return head.startswith(magics) or Path(path).resolve() == Path("/proc/kcore")


def is_kernel_image(path: str | os.PathLike[str]) -> bool:
    """Tell by its header if a file is an ELF executable, as vmlinux is, and no core."""
    try:
        # A pipe would be waited for.
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            head = file.read(18)
    except (OSError, ValueError):
        return False
    if len(head) < 18 or not head.startswith(_ELF):
        return False
    (kind,) = struct.unpack_from(">H" if head[5] == _BIG_ENDIAN else "<H", head, 16)
    return kind in _EXECUTABLE


def identify(path: str | os.PathLike[str]) -> Core:
    """Look at the file at *path*.

    :raises DumpError: if it cannot be opened as a core; the message says what to do
    """
    name = os.fspath(path)
    if Path(name).resolve() == Path("/proc/kcore"):
        return Core(name, "live")
    try:
        mode = os.stat(name).st_mode
        if stat.S_ISDIR(mode):
            raise DumpError(f"{name} is a directory; name the vmcore file in it.")
        if not stat.S_ISREG(mode):
            raise DumpError(f"{name} is not a regular file; copy the dump to a file first.")
        with open(name, "rb") as file:
            return _identify(name, file, os.fstat(file.fileno()).st_size)
    except FileNotFoundError:
        raise DumpError(f"{name} does not exist; check the path of the vmcore.") from None
    except OSError as e:
        raise DumpError(f"{name} cannot be read ({e.strerror}); check its permissions.") from None


def _identify(name: str, file: BinaryIO, size: int) -> Core:
    magic = file.read(16)
    if not size:
        raise DumpError(
            f"{name} is empty; the crash kernel probably had no space to write the dump."
        )
    for start, (method, unpack) in _COMPRESSED.items():
        if magic.startswith(start):
            raise DumpError(
                f"{name} is compressed with {method}; unpack it first, with:"
                f" {unpack} {shlex.quote(name)}"
            )
    if magic.startswith(_FLATTENED):
        return _flattened(name, file)
    if magic.startswith(_KDUMP):
        try:
            return _kdump(name, file, size)
        except struct.error:
            raise DumpError(
                f"{name} is truncated in its headers ({size} bytes); copy the dump again."
            ) from None
    if magic.startswith(_ELF):
        return _elf(name, file, size)
    if magic.startswith(_DISKDUMP):
        raise DumpError(f"{name} is a diskdump of an old kernel, which kept no allocation profile.")
    if magic.startswith((LIME, AVML)):
        return Core(name, "LiME" if magic.startswith(LIME) else "AVML")
    if magic.startswith(VMWARE_STATE):
        raise DumpError(_of_vmware(name))
    if may_be_raw(size):
        return Core(name, "raw", at_once=_has_state(name))
    raise DumpError(f"{name} is not a core dump (neither kdump-compressed nor ELF); name a vmcore.")


def _has_state(name: str) -> bool:
    """Tell if VMware's state of a guest lies beside its memory."""
    for suffix in (".vmsn", ".vmss"):
        with suppress(OSError), Path(name).with_suffix(suffix).open("rb") as file:
            if file.read(4) in VMWARE_STATE:
                return True
    return False


def _of_vmware(name: str) -> str:
    memory = Path(name).with_suffix(".vmem")
    if memory.exists():
        return f"{name} is the state of a VMware guest, without its memory; name {memory}."
    return (
        f"{name} is the state of a VMware guest; name the .vmem file that belongs to it, or"
        " convert both with vmss2core."
    )


def _flattened(name: str, file: BinaryIO) -> Core:
    inner = Flattened(file)
    if not inner.size:
        raise DumpError(f"{name} is truncated: only its header is there; copy the dump again.")
    if inner.size > _MOST_SPARSE * os.fstat(file.fileno()).st_size:
        raise DumpError(f"{name} has a damaged piece, far behind all others; copy the dump again.")
    reader = io.BufferedReader(inner)
    magic = reader.read(16)
    reader.seek(0)
    if magic.startswith(_FLATTENED):
        raise DumpError(f"{name} has been flattened twice; copy the dump again.")
    try:
        return replace(_identify(name, reader, inner.size), flattened=True)
    except DumpError:
        if inner.whole:
            raise
        # Headers are written again at the end.
        raise DumpError(f"{name} is truncated, and so lacks its headers; copy it again.") from None


def reassemble(path: str) -> str:
    """The command that makes an ordinary dump of a flattened one."""
    quoted = shlex.quote(path)
    return f"makedumpfile -R {quoted}.vmcore < {quoted}"


def _kdump(name: str, file: BinaryIO, size: int) -> Core:
    file.seek(0)
    header = file.read(4096)
    for order in "<>":
        status, block, sub_blocks, bitmap_blocks = struct.unpack_from(order + "4I", header, 424)
        if 512 <= block <= 1 << 20 and block & (block - 1) == 0:
            break
    else:
        raise DumpError(f"{name} has a damaged kdump header; copy the dump again.")
    file.seek(block)
    dump_level, split, *extents = struct.unpack(order + "8xii16x6Q", file.read(80))
    # VMCOREINFO, ELF notes, erase information: libkdumpfile maps them without a look.
    for offset, length in zip(extents[::2], extents[1::2], strict=True):
        if length and offset + length > size:
            raise DumpError(f"{name} is truncated or damaged in its headers; copy the dump again.")
    if split:
        raise DumpError(
            f"{name} is one part of a split dump; join all parts with: makedumpfile --reassemble"
            f" {shlex.quote(name)} OTHER-PARTS... vmcore"
        )
    bitmaps = (1 + sub_blocks) * block
    missing, behind = _missing(file, size, order, bitmaps, bitmap_blocks * block)
    return Core(
        name,
        "kdump",
        next((c for bit, c in _COMPRESSION.items() if status & bit), None),
        dump_level,
        missing,
        behind,
        bool(status & _INCOMPLETE),
        frame_bytes=block,
        bitmap=(bitmaps + bitmap_blocks * block // 2, bitmap_blocks * block // 2),
    )


def _missing(file: BinaryIO, size: int, order: str, bitmaps: int, length: int) -> tuple[int, bool]:
    """Bytes missing at the end, and whether data of some page lies behind it.

    Page descriptors are one for each bit set in the second of two bitmaps, and the
    data they point to follows in the same order (but for zero pages, which share
    one), so the last few descriptors tell where the file has to end. Of others, damage is looked
    for as long as that is quick.
    """
    descriptors = bitmaps + length
    if descriptors > size:
        return descriptors - size, True
    file.seek(bitmaps + length // 2)
    pages = 0
    for left in range(length // 2, 0, -(1 << 24)):
        chunk = np.frombuffer(file.read(min(left, 1 << 24)), np.uint8)
        pages += int(np.bitwise_count(chunk).sum(dtype=np.int64))
    end = descriptors + _DESCRIPTOR * pages
    if end > size:
        return end - size, True
    looked = min(pages, _MOST_DESCRIPTORS)
    file.seek(end - _DESCRIPTOR * looked)
    raw = np.frombuffer(
        file.read(_DESCRIPTOR * looked),
        np.dtype([("offset", order + "i8"), ("size", order + "u4"), ("rest", "V12")]),
    )
    if not len(raw):
        return max(0, end - size), False
    ends = raw["offset"] + raw["size"]
    missing = max(0, int(ends[-_LAST_DESCRIPTORS:].max()) - size)
    return missing, bool((raw["offset"] < 0).any() or (ends < 0).any() or (ends > size).any())


def dumped(core: Core, frames: int) -> Iterator[Int]:
    """Numbers of the page frames that are in a kdump-compressed dump, ascending: those of each
    *frames* that have any.

    :param frames: a multiple of 8
    :raises OSError: if the file cannot be read
    """
    at, left = core.bitmap
    with Path(core.path).open("rb") as file:
        inner = io.BufferedReader(Flattened(file)) if core.flattened else file
        inner.seek(at)
        # Each has a descriptor: a damaged map may tell of more than the file can hold.
        first, room = 0, os.fstat(file.fileno()).st_size // _DESCRIPTOR
        while min(left, room) > 0 and (chunk := inner.read(min(left, frames // 8))):
            left -= len(chunk)
            bits = np.unpackbits(np.frombuffer(chunk, np.uint8), bitorder="little")
            if bits.any():
                yield first + np.flatnonzero(bits)
                room -= int(bits.sum())
            first += frames


def elf_segments(core: Core) -> tuple[Extent, ...]:
    """The memory in an ELF core, by physical address if it has such.

    :raises OSError: if it cannot be read
    """
    from elftools.elf.elffile import ELFFile

    file = Path(core.path).open("rb")  # noqa: SIM115  open as long as it is read from
    inner = io.BufferedReader(Flattened(file)) if core.flattened else file

    def reader(start: int) -> Reader:
        def read(offset: int, count: int) -> bytes:
            inner.seek(start + offset)
            return inner.read(count)

        return read

    return tuple(
        Extent(s["p_paddr"] or s["p_vaddr"], s["p_filesz"], reader(s["p_offset"]))
        for s in ELFFile(inner).iter_segments("PT_LOAD")
    )


def _elf(name: str, file: BinaryIO, size: int) -> Core:
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError
    from elftools.elf.elffile import ELFFile

    try:
        elf = ELFFile(file)
        if elf["e_type"] != "ET_CORE":
            raise DumpError(
                f"{name} is an ELF file but not a core dump; name the vmcore (its vmlinux"
                " may stand beside it)."
            )
        end = max((s["p_offset"] + s["p_filesz"] for s in elf.iter_segments()), default=0)
    except (ELFError, ConstructError, ValueError, KeyError, AttributeError):
        raise DumpError(f"{name} has a damaged ELF header; copy the dump again.") from None
    return Core(name, "elf", missing_bytes=max(0, end - size))
