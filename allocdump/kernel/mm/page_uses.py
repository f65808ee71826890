# SPDX-License-Identifier: LGPL-2.1-or-later
"""Uses of page frames that are special among those of their kind, by their struct pages.

Mirrors ``include/linux/page-flags.h``, ``include/linux/pagemap.h``, ``include/linux/mm.h``
(``page_pool_page_is_pp()``), and ``struct kvm_mmu_page`` in ``arch/x86/kvm/mmu/mmu_internal.h``.
"""

from __future__ import annotations

from contextlib import suppress
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from drgn import offsetof

from ...arrays import U64, Int
from ..kernel import Kernel
from ..machine.page_pools import PagePool
from .page_types import UNACCEPTED, ZSMALLOC, PageKind, PageTypeReader
from .pages import Frames


class PageUse(IntEnum):
    """Uses of page frames; each is of one kind."""

    UNMAPPED = 0
    """Anonymous, and no task maps it."""
    KSM = 1
    """Anonymous: one page in the place of several equal ones."""
    GUEST = 2
    """Page cache: memory of a virtual machine that its host does not map (guest_memfd)."""
    AREA = 3
    """In use, in a vmalloc area."""
    IDLE_AREA = 4
    """In use, in a vmalloc area that is no task's stack, as far as all tasks can be told."""
    ZSPAGE = 5
    """In use by zsmalloc, for compressed pages."""
    SECONDARY_TABLE = 6
    """In use as a page table of a virtual machine (KVM on x86)."""
    UNACCEPTED = 7
    """Free, but a confidential guest has not accepted it from its host yet."""
    CMA_FREE = 8
    """Free, in a CMA area."""
    RING = 9
    """In use by a page pool of a network device; each further pool is one more use."""


NO_USE = -1
IN_USE = (PageUse.AREA, PageUse.IDLE_AREA, PageUse.ZSPAGE, PageUse.SECONDARY_TABLE)
"""Those of pages of the kind IN_USE, besides :attr:`PageUse.RING` and all behind it."""

_OWN_TABLE = np.array([32, 40, 48, 56], np.uint64)
"""Offsets at which ``kvm_mmu_page.spt`` can be, behind two links and before 64 bytes are over:
the type is KVM's own, in a module."""
_POOL_LOW, _POOL_SIGNATURE = np.uint64(0x7C), np.uint64(0x40)
"""Of ``page->pp_magic``: bits of ``PP_SIGNATURE`` below those of a DMA index."""
_KSM = np.uint64(3)
"""``FOLIO_MAPPING_KSM``, formerly ``PAGE_MAPPING_KSM``."""


class PageMarks:
    """Tells uses that struct pages are marked with, or what they point at.

    :param pools: of which the pages are told, by address, ascending
    """

    def __init__(self, kernel: Kernel, types: PageTypeReader, pools: list[PagePool]) -> None:
        prog = kernel.prog
        self._kernel, self._types = kernel, types
        # What is missing here makes a page ordinary, and is no hole in what describes memory.
        self._memory = kernel.counting_holes().memory
        self._private = np.uint64(1 << prog.constant("PG_private").value_())
        self._pools = np.array([pool.address for pool in pools], np.uint64)
        self._inaccessible = np.uint64(0)
        self._mapping_flags = np.uint64(0)
        with suppress(LookupError):  # no guest_memfd
            bit = prog.constant("AS_INACCESSIBLE").value_()
            self._mapping_flags = np.uint64(offsetof(prog.type("struct address_space"), "flags"))
            self._inaccessible = np.uint64(1 << bit)

    def of_frames(self, frames: Frames) -> Int:
        """Uses of page frames, :data:`NO_USE` for most: shape (number of pages,)."""
        heads = np.flatnonzero(frames.is_head)
        use = np.full(len(frames.kind), NO_USE, np.int64)
        use[heads] = self.of(frames, heads)
        use = use[frames.head]
        if frames.before:
            use[: frames.before.pages] = NO_USE
        return use

    def of(self, frames: Frames, rows: npt.NDArray[np.intp]) -> Int:
        """Uses of allocations and free blocks, :data:`NO_USE` for most.

        :param rows: indexes of their first pages
        """
        raw, pfn = frames.raw, frames.section.pfn
        use = np.full(len(rows), NO_USE, np.int64)
        mapping, types, kinds = raw["mapping"][rows], raw["page_type"][rows], frames.kind[rows]
        use[(kinds == PageKind.ANONYMOUS) & (mapping & _KSM == _KSM)] = PageUse.KSM
        use[(kinds == PageKind.FREE) & self._types.is_type(UNACCEPTED, types)] = PageUse.UNACCEPTED
        cache = np.flatnonzero(kinds == PageKind.CACHE)
        use[cache[self._of_guests(mapping[cache])]] = PageUse.GUEST
        plain = kinds == PageKind.IN_USE
        use[plain & self._types.is_type(ZSMALLOC, types)] = PageUse.ZSPAGE
        rest = np.flatnonzero(plain & (use == NO_USE))
        use[rest[self._is_secondary(pfn + rows[rest], raw[rows[rest]])]] = PageUse.SECONDARY_TABLE
        if len(self._pools) and "pp_magic" in (raw.dtype.names or ()):
            magic, pool = raw["pp_magic"][rows], raw["pp"][rows]
            which = np.minimum(np.searchsorted(self._pools, pool), len(self._pools) - 1)
            of_pool = plain & (self._pools[which] == pool)
            of_pool &= magic & _POOL_LOW == _POOL_SIGNATURE
            use[of_pool] = PageUse.RING + which[of_pool]
        return use

    def _of_guests(self, mapping: U64) -> npt.NDArray[np.bool_]:
        """Mark pages of files that nobody but a virtual machine may look into."""
        if not self._inaccessible:
            return np.zeros(len(mapping), np.bool_)
        files, which = np.unique(mapping, return_inverse=True)
        flags, _ = self._memory.words(files + self._mapping_flags)
        return np.asarray((flags & self._inaccessible != 0)[which])

    def _is_secondary(self, pfn: Int, raw: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
        """Mark pages whose ``page->private`` is a structure that names their own address."""
        header, flags = raw["private"], raw["flags"]
        found = np.zeros(len(raw), np.bool_)
        base = np.uint64(self._kernel.direct_map)
        some = np.flatnonzero(
            (header > base) & (header % 8 == 0) & (flags & self._private == 0)
            & (raw["mapping"] == 0)
        )  # fmt: skip
        own = base + (pfn[some].astype(np.uint64) << np.uint64(self._kernel.page.shift))
        for offset in _OWN_TABLE:
            words, _ = self._memory.words(header[some] + offset)
            found[some[words == own]] = True
        return found
