# SPDX-License-Identifier: LGPL-2.1-or-later
"""Places of all struct pages, section by section.

Mirrors ``include/linux/mmzone.h`` (``struct mem_section``, ``__section_mem_map_addr()``)
and ``mm/page_ext.c`` (``lookup_page_ext()``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from drgn import Program, sizeof

from ...arrays import U64
from ...source.dtypes import dtype_of
from ...source.memory import each_whole
from ..kernel import Kernel

_HAS_MEM_MAP, _IS_ONLINE = 2, 4
"""SECTION_HAS_MEM_MAP, SECTION_IS_ONLINE: of memory that is not online, nobody has written the
struct pages (``pfn_to_online_page()`` in ``mm/memory_hotplug.c``)."""
_PAGE_EXT_INVALID = 1

_MAX_ROOTS = 1 << 22
_WORD, _MOST_EXT = 8, 4 << 10
"""Bytes: of the flags in a page extension, and more than all its clients take."""


@dataclass(frozen=True)
class MemorySection:
    """A run of page frames whose struct pages, and page extensions, are contiguous."""

    pfn: int
    pages: int
    memmap: int
    """Address of the struct page of *pfn*."""
    page_ext: int
    """Address of the page extension of *pfn*; 0 if there are none."""


def sections(kernel: Kernel) -> list[MemorySection]:
    """All sections of memory that have struct pages, ascending.

    Only sparse memory is read, which x86-64, arm64, s390 and ppc64 always have.

    :raises LookupError: if the kernel uses flat memory
    :raises ValueError: if there are none
    """
    prog, memory = kernel.prog, kernel.memory
    type_ = prog.type("struct mem_section")
    members = {"map": "section_mem_map"}
    if type_.has_member("page_ext"):
        members["page_ext"] = "page_ext"
    dtype = dtype_of(type_, members)
    size = sizeof(type_)
    page_size = sizeof(prog.type("struct page"))
    ext_size = page_ext_size(prog)
    per_section = 1 << kernel.vmcoreinfo.number("SECTION_SIZE_BITS") - kernel.page.shift
    wanted = np.uint64(_HAS_MEM_MAP | _IS_ONLINE)
    mask = ~((1 << prog.constant("SECTION_MAP_LAST_BIT").value_()) - 1)
    out = []
    for first, address, count in _tables(kernel, size):
        data, ok = memory.read(address, count * size)
        table: npt.NDArray[np.void] = data.view(dtype)
        readable = each_whole(ok, size)
        used = table["map"] & wanted == wanted
        for i in np.flatnonzero(readable & used).tolist():
            pfn = (first + i) * per_section
            ext = int(table["page_ext"][i]) if "page_ext" in members else 0
            if ext & _PAGE_EXT_INVALID:
                ext = 0
            if ext and not ext_size:
                raise ValueError("page_ext_size is damaged: 0 bytes")
            out.append(
                MemorySection(
                    pfn,
                    per_section,
                    (int(table["map"][i]) & mask) + pfn * page_size & (1 << 64) - 1,
                    ext + pfn * ext_size & (1 << 64) - 1 if ext else 0,
                )
            )
    if not out:
        raise ValueError("no section of memory is readable")
    return out


def _tables(kernel: Kernel, size: int) -> list[tuple[int, int, int]]:
    """Arrays of struct mem_section: (first section number, address, count)."""
    prog = kernel.prog
    roots = kernel.vmcoreinfo.number("mem_section", "LENGTH")
    per_root = kernel.page.bytes // size
    try:
        highest = prog["__highest_present_section_nr"].value_()
        roots = min(roots, highest // per_root + 1)
    except LookupError:
        pass
    # SPARSEMEM_EXTREME: an array of pointers, of which most are NULL.
    base = prog["mem_section"].value_()
    data, _ = kernel.memory.read(base, 8 * min(roots, _MAX_ROOTS))
    pointers: U64 = data.view(np.uint64)
    return [(i * per_root, int(pointers[i]), per_root) for i in np.flatnonzero(pointers).tolist()]


def page_ext_size(prog: Program) -> int:
    """Bytes of a page extension; 0 without ``CONFIG_PAGE_EXTENSION``.

    :raises ValueError: if it cannot be that
    """
    try:
        size = int(prog["page_ext_size"].value_())
    except LookupError:
        return 0
    if size % _WORD or size > _MOST_EXT:
        raise ValueError(f"page_ext_size is damaged: {size:,} bytes")
    return size
