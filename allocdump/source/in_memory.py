# SPDX-License-Identifier: LGPL-2.1-or-later
"""VMCOREINFO as it lies in the memory of its kernel, for dumps whose notes do not have it.

``crash_save_vmcoreinfo_init()`` in ``kernel/vmcore_info.c`` puts it into a page of its own;
``update_vmcoreinfo_note()`` copies it into the note, pages of their own, too, with the time of the
crash. Pages of earlier kernels, of guests and of files may look the same: a text is that of the
kernel if the page tables it names lead to the release it names.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np
from drgn import Architecture, FaultError, Platform, PlatformFlags, Program

from .image import PAGE
from .vmcoreinfo import VmcoreInfo

_START = b"OSRELEASE="
_NOTE = struct.Struct("<III12s")
"""Lengths of name and text, type, name."""
_NAME = b"VMCOREINFO\0\0"
_LAST = b"CRASHTIME="

_FIELD = 65
"""Bytes of each field of ``struct new_utsname``, of which the third is the release."""
_MOST_ROOTS = 1 << 20
_KERNEL = np.uint64(0xFF00_0000_0000_0000)
"""Addresses of kernels are not lower."""
_PRESENT = 1
"""SECTION_MARKED_PRESENT"""
_64_BIT = PlatformFlags.IS_64_BIT | PlatformFlags.IS_LITTLE_ENDIAN


def texts(blocks: Iterable[bytes]) -> list[bytes]:
    """Texts in memory that look like a VMCOREINFO, each once.

    What a kernel added when it crashed is in the text, unless several differ in that.

    :param blocks: memory in whole pages
    """
    crashes: dict[bytes, set[bytes]] = {}
    for block in blocks:
        pages = np.frombuffer(block, np.uint8).reshape(-1, PAGE)
        for at in (0, _NOTE.size):
            starts = np.ascontiguousarray(pages[:, at : at + 8]).view(np.uint64)[:, 0]
            for number in np.flatnonzero(starts == np.frombuffer(_START[:8], np.uint64)).tolist():
                text = _text(block[number * PAGE : (number + 2) * PAGE], at)
                if text:
                    plain, _, crash = text.partition(_LAST)
                    crashes.setdefault(plain, set()).add(crash)
    return [plain + _ended(ends - {b""}) for plain, ends in crashes.items()]


def _ended(crashes: set[bytes]) -> bytes:
    return _LAST + next(iter(crashes)) if len(crashes) == 1 else b""


def _text(memory: bytes, at: int) -> bytes:
    """The text that begins somewhere in memory; empty if it is none."""
    size = PAGE
    if at:
        name_size, size, _, name = _NOTE.unpack_from(memory)
        if name_size != len(_NAME) - 1 or name != _NAME:
            return b""
    text = memory[at : at + min(size, PAGE)].partition(b"\0")[0]
    lines = text.splitlines()
    whole = text.startswith(_START) and text.isascii() and all(b"=" in line for line in lines)
    return text if whole and len(lines) > 1 else b""


def platform(text: bytes) -> Platform | None:
    """The platform of the kernel that wrote a VMCOREINFO; None if it is none that can be read."""
    numbers = VmcoreInfo.parse(text).values
    if ("NUMBER", "phys_base") in numbers:
        return Platform(Architecture.X86_64, _64_BIT)
    if ("NUMBER", "kimage_voffset") in numbers:
        return Platform(Architecture.AARCH64, _64_BIT)
    return None


def is_of(prog: Program, info: VmcoreInfo) -> bool:
    """Tell if a VMCOREINFO is that of a program's kernel: ``init_uts_ns`` has the same release.

    :raises drgn.FaultError: if that is unreadable
    """
    uts = info.symbol("init_uts_ns")
    if uts is None:
        return False
    try:
        start = uts + info.number("uts_namespace.name", "OFFSET")
    except LookupError:
        return False
    name, _, release = (
        bytes(prog.read(start + place * _FIELD, _FIELD)).partition(b"\0")[0] for place in range(3)
    )
    return name == b"Linux" and release == info.values.get(("", "OSRELEASE"), "").encode()


def is_readable_by(prog: Program, info: VmcoreInfo) -> bool:
    """The same, but False if it is unreadable."""
    try:
        return is_of(prog, info)
    except (FaultError, ValueError, OverflowError):
        return False


def last_section(prog: Program, info: VmcoreInfo) -> int | None:
    """Physical address of the last section of memory, which proves that memory above 4 GiB is
    where it should be: sections are described near the end of it. None if there are none.

    Mirrors ``mem_section`` in ``mm/sparse.c``.

    :raises drgn.FaultError: if they are unreadable
    :raises ValueError: if they are damaged
    """
    table = info.symbol("mem_section")
    try:
        roots = info.number("mem_section", "LENGTH")
        size = info.number("mem_section", "SIZE")
        offset = info.number("mem_section.section_mem_map", "OFFSET")
        bits = info.number("SECTION_SIZE_BITS")
    except LookupError:
        return None
    if not table:
        return None
    if not (0 < roots <= _MOST_ROOTS and 8 <= size <= PAGE and offset % 8 == 0 <= offset < size):
        raise ValueError("the sections of memory are damaged")
    pointers = np.frombuffer(prog.read(table, 8 * roots), np.uint64)
    used = np.flatnonzero(pointers)
    if not len(used) or (pointers[used] < _KERNEL).any():
        raise ValueError("the sections of memory are damaged")
    per_root = int(info.text("PAGESIZE") or PAGE) // size
    raw = prog.read(int(pointers[used[-1]]), per_root * size)
    maps = np.frombuffer(raw, np.uint8).reshape(per_root, size)[:, offset : offset + 8]
    words = np.ascontiguousarray(maps).view(np.uint64)[:, 0]
    present = np.flatnonzero(words & np.uint64(_PRESENT))
    if not len(present) or (words[words != 0] & np.uint64(_PRESENT) == 0).any():
        raise ValueError("the sections of memory are damaged")
    return (int(used[-1]) * per_root + int(present[-1])) << bits
