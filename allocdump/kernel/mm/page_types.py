# SPDX-License-Identifier: LGPL-2.1-or-later
"""Types of pages: what ``page->page_type`` says a page is used for.

Mirrors ``include/linux/page-flags.h``.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from ...arrays import U64, Bool
from ..kernel import Kernel
from ..layouts import PageTypes


class PageKind(IntEnum):
    """Uses of a page frame, by its struct page."""

    IN_USE = 0
    """Allocated, and nothing more special than that."""
    FREE = 1
    """In the buddy allocator."""
    FREE_PCP = 2
    """On a per-CPU free list."""
    RESERVED = 3
    """PG_reserved: kept from the allocator since boot, or no memory at all."""
    SLAB = 4
    PAGE_TABLE = 5
    HUGETLB = 6
    ANONYMOUS = 7
    CACHE = 8
    """Page cache of files."""
    SHMEM = 9
    """Page cache of tmpfs and shared memory."""
    OFFLINE = 10
    """Given back to the hypervisor (balloon)."""
    UNREADABLE = 11
    """Its struct page is not in the dump."""
    LARGE_KMALLOC = 12
    """kmalloc() of more than two pages, marked as such since Linux 6.15."""
    POISONED = 13
    """PG_hwpoison: its memory has hardware errors, and nobody uses it any more."""


ZSMALLOC, UNACCEPTED = "zsmalloc", "unaccepted"
_TYPES = {
    "buddy": PageKind.FREE,
    "slab": PageKind.SLAB,
    "table": PageKind.PAGE_TABLE,
    "large_kmalloc": PageKind.LARGE_KMALLOC,
    "hugetlb": PageKind.HUGETLB,
    "offline": PageKind.OFFLINE,
    UNACCEPTED: PageKind.FREE,
}
_PLAIN = {"PGTY_guard", f"PGTY_{ZSMALLOC}", "PGTY_mapcount_underflow"}
"""Types of pages in use, and the first value that is none."""
_BASE = {
    PageTypes.HIGH_BITS: 0x8000_0000,
    PageTypes.LOW_BITS: 0xF000_0000,
    PageTypes.MACROS: 0xF000_0000,
}
"""PAGE_TYPE_BASE: set in all types, each of which has one more bit that is zero."""
_MACROS = {0x80: PageKind.FREE, 0x100: PageKind.OFFLINE, 0x200: PageKind.PAGE_TABLE}
"""PG_buddy, PG_offline, PG_table: macros leave no trace in the types."""


class PageTypeReader:
    """Tells kinds of pages by their types.

    :raises UnknownLayoutError: if the kernel marks types in a way that is not known
    """

    def __init__(self, kernel: Kernel) -> None:
        variant = kernel.layouts[PageTypes]
        prefix = "PGTY_" if variant is PageTypes.TOP_BYTE else "PG_"
        self._base = np.uint32(_BASE.get(variant, 0))
        self._values: list[tuple[np.uint32, PageKind]] = []
        self._named: dict[str, np.uint32] = {}
        self._slab = np.uint64(0)
        self.unknown: dict[int, str] = {}
        """Types of this kernel that are not known here, and their names."""
        if variant is PageTypes.MACROS:
            self._values = [(np.uint32(value), kind) for value, kind in _MACROS.items()]
            self._slab = np.uint64(1 << kernel.prog.constant("PG_slab").value_())
            return
        for name, kind in {**_TYPES, ZSMALLOC: PageKind.IN_USE}.items():
            try:
                value = np.uint32(kernel.prog.constant(prefix + name).value_())
            except LookupError:
                continue  # it came later
            self._named[name] = value
            self._values.append((value, kind))
        if variant is PageTypes.TOP_BYTE:
            known = {prefix + name for name in _TYPES} | _PLAIN
            every = kernel.prog.type("enum pagetype").enumerators or ()
            self.unknown = {e.value: e.name for e in every if e.name not in known}

    def unknown_in(self, page_type: npt.NDArray[np.uint32]) -> list[str]:
        """Names of the types among *page_type* that are not known."""
        if not self.unknown:
            return []
        tops = page_type >> np.uint32(24)
        return [name for value, name in self.unknown.items() if (tops == value).any()]

    def kinds(
        self, page_type: npt.NDArray[np.uint32], flags: U64 | None = None
    ) -> npt.NDArray[np.uint8]:
        """The kinds of pages with types; IN_USE for those without one.

        :param page_type: shape (n,)
        :param flags: of the same pages; kernels before 6.10 tell slabs by them
        """
        kind = np.full(len(page_type), PageKind.IN_USE, np.uint8)
        for value, found in self._values:
            kind[self._is(value, page_type)] = found
        if flags is not None and self._slab:
            # Slabs keep other things in the word of page_type.
            kind[flags & self._slab != 0] = PageKind.SLAB
        return kind

    def is_type(self, name: str, page_type: npt.NDArray[np.uint32]) -> Bool:
        """Mark pages of a type; none, where this kernel does not know it."""
        if name not in self._named:
            return np.zeros(len(page_type), np.bool_)
        return self._is(self._named[name], page_type)

    def _is(self, value: np.uint32, page_type: npt.NDArray[np.uint32]) -> Bool:
        if self._base:
            return np.asarray(page_type & (self._base | value) == self._base)
        return np.asarray(page_type >> np.uint32(24) == value)
