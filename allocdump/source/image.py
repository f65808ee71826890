# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images of physical memory, which are no cores: they have no notes, and tell of no kernel.

Mirrors LiME's ``lime_mem_range_header`` (``src/lime.h``), which AVML took over
(``src/image.rs``), and files that hold nothing but memory: of QEMU's ``pmemsave`` and of VMware.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from drgn import FaultError, Program

from ..errors import DumpError
from .avml import Block, BlockError

LIME, AVML = b"EMiL", b"AVML"
_VERSIONS = {LIME: 1, AVML: 2}
_HEADER = struct.Struct("<4sIQQ8x")
"""Magic number, version, physical addresses of the first and the last byte."""
_MOST_RANGES = 1 << 20
"""AVML writes a range for each 16 MiB."""
_MOST_ADDRESS = 1 << 52
"""Physical addresses of no machine are longer."""

VMWARE_STATE = tuple(
    struct.pack("<I", magic)
    for magic in (0xBED0BED0, 0xBED2BED2, 0xBED3BED3, 0xBAD1BAD1, 0xBAD2BAD2)
)
"""``CPTDUMP_*_MAGIC_NUMBER`` of VMware's .vmss and .vmsn: a guest's state, without its memory."""

PAGE = 4096
_BLOCK = 4 << 20
_LEAST_RAW = 8 << 20
"""Bytes: no kernel with BTF and kallsyms runs in less."""
Layout = tuple[tuple[int, int], ...]
"""Physical address and offset in the file of each piece of memory, ascending."""
IDENTITY: Layout = ((0, 0),)
"""That of ``pmemsave``: every address is the offset in the file."""
_4_GIB = 1 << 32
BELOW_4_GIB: tuple[Layout, ...] = tuple(
    ((0, 0), (_4_GIB, _4_GIB - hole)) for hole in (1 << 28, 1 << 29, 1 << 30, 1 << 31)
)
"""PCs have devices right below 4 GiB, for which a file of nothing but memory has no room: 256 MiB
of Xen, 512 MiB of QEMU's pc, 1 GiB of that with more memory and of VMware, 2 GiB of QEMU's q35."""
FROM_HIGHER: tuple[Layout, ...] = tuple(((start, 0),) for start in (1 << 30, 1 << 31))
"""arm64 machines have memory from 1 or 2 GiB on; QEMU's virt is of the former."""

Reader = Callable[[int, int], bytes]
"""Reads bytes: an offset, and their number."""


@dataclass(frozen=True)
class Extent:
    """Memory that lies in one piece in an image."""

    start: int
    """Physical address."""
    size: int
    """Bytes."""
    read: Reader
    """Of offsets in it."""


@dataclass(frozen=True)
class Image:
    """Physical memory, found in a file."""

    extents: tuple[Extent, ...]
    sparse: bool = False
    """Memory between its extents is zeros: AVML leaves those out."""
    missing_bytes: int = 0
    """Bytes that its headers tell of, and the file lacks."""

    @property
    def end(self) -> int:
        """Physical address behind all of it."""
        return max(extent.start + extent.size for extent in self.extents)

    def blocks(self) -> Iterator[bytes]:
        """All memory in whole pages, many at a time."""
        for extent in self.extents:
            for at in range(-extent.start % PAGE, extent.size - PAGE + 1, _BLOCK):
                size = min(_BLOCK, extent.size - at)
                try:
                    yield extent.read(at, size - size % PAGE)
                except FaultError:
                    continue

    def lay_into(self, prog: Program) -> None:
        """Have a program read it."""
        if self.sparse:
            prog.add_memory_segment(0, self.end, _zeros, physical=True)
        for extent in self.extents:
            prog.add_memory_segment(extent.start, extent.size, _segment(extent.read), physical=True)


def _segment(read: Reader) -> Callable[[int, int, int, bool], bytes]:
    return lambda address, count, offset, physical: read(offset, count)


def _zeros(address: int, count: int, offset: int, physical: bool) -> bytes:
    return bytes(count)


def ranges(path: str) -> Image:
    """The memory in a LiME or AVML file.

    :raises DumpError: if its headers are damaged
    :raises ExtraError: if it is compressed, and the library for that is not installed
    :raises OSError: if the file cannot be read
    """
    file = Path(path).open("rb")  # noqa: SIM115  open as long as it is read from
    end_of_file = os.fstat(file.fileno()).st_size
    at, missing, found = 0, 0, list[Extent]()
    while at + _HEADER.size <= end_of_file and len(found) < _MOST_RANGES:
        magic, version, first, last = _HEADER.unpack(os.pread(file.fileno(), _HEADER.size, at))
        length = last + 1 - first
        if _VERSIONS.get(magic) != version or length <= 0 or last >= _MOST_ADDRESS:
            raise _damaged(path, at)
        at += _HEADER.size
        if magic == LIME:
            size = min(length, end_of_file - at)
            found.append(Extent(first, size, _piece(file, at)))
            at += length
        else:
            try:
                block = Block(file, at, length)
            except BlockError:
                raise _damaged(path, at) from None
            size, at = block.size, block.end
            found.append(Extent(first, size, block.read))
        missing += length - size
    found = [extent for extent in found if extent.size]
    if not found:
        raise DumpError(f"{path} is truncated: its memory is missing; copy it again.")
    return Image(tuple(found), sparse=True, missing_bytes=missing)


def _damaged(path: str, at: int) -> DumpError:
    return DumpError(f"{path} is damaged at byte {at:,}, or of an unknown version; copy it again.")


def may_be_raw(size: int) -> bool:
    """Tell by its size if a file may hold nothing but memory; a kernel must then be found in it."""
    return size >= _LEAST_RAW and size % PAGE == 0


def raw(path: str, layout: Layout = IDENTITY) -> Image:
    """The memory in a file that holds nothing else.

    :raises OSError: if the file cannot be read
    """
    file = Path(path).open("rb")  # noqa: SIM115  open as long as it is read from
    size = os.fstat(file.fileno()).st_size
    ends = [*(offset for _, offset in layout[1:]), size]
    extents = [
        Extent(start, min(end, size) - offset, _piece(file, offset))
        for (start, offset), end in zip(layout, ends, strict=True)
    ]
    return Image(tuple(extent for extent in extents if extent.size > 0))


def _piece(file: BinaryIO, start: int) -> Reader:
    """A reader of what begins somewhere in a file."""

    def read(offset: int, count: int) -> bytes:
        data = os.pread(file.fileno(), count, start + offset)
        if len(data) != count:
            raise FaultError("the file has become shorter", 0)
        return data

    return read
