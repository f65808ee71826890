# SPDX-License-Identifier: LGPL-2.1-or-later
"""Origins of allocations that carry no tag: rows that follow those of the call sites.

A slab object without a tag has its cache's row, a page of a vmalloc area that of the caller
in ``struct vm_struct``, any other page that of its kind, a per-CPU object one for all of them.
Where the kernel kept the stack of an object, or of a page of unknown use, it has the row of the
call site in that.
What is free, kept since boot, or not in the dump has no origin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ...arrays import U32, U64, Bool, Int, ranges
from ...problems import Code, Problem
from ...text import some
from ..chains import Broken
from ..kernel import Kernel
from ..machine.code_names import CodeNames
from ..machine.tasks import every_task
from ..stacks.kept import KeptStacks, keeps_stacks
from ..stacks.sites import StackSites
from ..tags.references import NONE
from ..tags.roles import Role
from ..tags.sites import OriginKind, Provenance, Site, SiteName, Sites
from ..walk import ReadErrors, Walked
from .page_types import PageKind
from .page_uses import PageMarks, PageUse
from .pages import FrameReader, Frames
from .percpu import PerCpuObjects
from .slab import Cache, Objects, Slabs
from .slab_free import FREE_LISTS, Sheaves, cpu_lists, free_objects
from .vmalloc import VmArea, vm_areas

_PAGES = {
    PageKind.IN_USE: "pages of unknown use",
    PageKind.SLAB: "slabs",
    PageKind.PAGE_TABLE: "page tables",
    PageKind.HUGETLB: "huge pages",
    PageKind.ANONYMOUS: "anonymous memory",
    PageKind.CACHE: "page cache",
    PageKind.SHMEM: "shared memory",
    PageKind.LARGE_KMALLOC: "large kmalloc",
}
"""Kinds of pages that are allocations."""
_CHUNKS, _STACKS = "pages of per-CPU chunks", "pages of kernel stacks"
_UNTOLD = "kernel stacks may count as other memory"
_BEHIND = "pages of unknown use, behind one that is held"
_USES = {
    PageUse.ZSPAGE: "pages of zsmalloc",
    PageUse.SECONDARY_TABLE: "secondary page tables",
}
_RINGS = "pages of network rings"
_KINDS = [*_PAGES.values(), _CHUNKS, _STACKS, _BEHIND, *_USES.values(), _RINGS]
_PERCPU = "per-CPU objects"
_NO_CALLER = "(unknown caller)"


@dataclass
class Origins(Sites):
    """Call sites, and behind them all other origins: what a row of an allocation names.

    The name of any other origin stands in the place of a file; it has no numbers.
    """

    origin: npt.NDArray[np.uint8]
    """An :class:`OriginKind`."""
    use: npt.NDArray[np.object_]
    """A :class:`.roles.Role`."""
    common: Bool
    """Marks origins that many call sites may have in common."""

    @property
    def tagged(self) -> int:
        """Number of rows that are call sites, which come first."""
        return int(np.count_nonzero(self.origin == OriginKind.SITE))

    @property
    def shared(self) -> Bool:
        """Marks rows that many call sites may have in common."""
        return self.common

    @property
    def role(self) -> npt.NDArray[np.object_]:
        """The :class:`.roles.Role` of each row."""
        return self.use

    def name(self, row: int) -> SiteName:
        """The names of one row."""
        return super().name(row)._replace(origin=OriginKind(int(self.origin[row])))


@dataclass
class AreaPages:
    """Page frames of vmalloc areas, ascending; columns of shape (number of page frames,).

    Of a page frame that several areas have, the first counts; -1 stands for damaged pointers.
    """

    pfn: Int
    area: Int
    """Index in :attr:`areas`."""
    virtual: U64
    """Address in vmalloc space."""
    areas: list[VmArea]

    def rows_of(self, first: int, last: int) -> range:
        """Rows of the page frames from *first* up to *last*."""
        low, high = np.searchsorted(self.pfn, (first, last)).tolist()
        return range(low, high)


def _times(index: Int, size: int) -> U64:
    return index.astype(np.uint64) * np.uint64(size)


class OriginRows:
    """Numbers the origins of a kernel, and gives allocations without a tag theirs.

    :param first: number of call sites, whose rows come first
    :param found: the sheaves of all caches, when they are asked for
    :param kept: the stacks that the kernel kept, likewise
    """

    def __init__(
        self,
        kernel: Kernel,
        first: int,
        caches: list[Cache],
        chunks: list[PerCpuObjects],
        frames: FrameReader,
        marks: PageMarks,
        found: Callable[[], Sheaves],
        kept: Callable[[], KeptStacks],
    ) -> None:
        self.kernel, self.first = kernel, first
        # What is missing here is told as problems, not as holes in what describes memory.
        self._aside = kernel.counting_holes()
        self.memory = self._aside.memory
        self._caches, self._frames, self._sheaves = caches, frames, found
        self._marks = marks
        self._kept = kept
        self._chunks = np.array([c.address for c in chunks], np.uint64)
        self._pages = first + len(caches)
        self._percpu = self._pages + len(_KINDS)
        self._callers = self._percpu + 1
        self._kind_row = np.full(len(PageKind), NONE, np.int32)
        for i, kind in enumerate(_PAGES):
            self._kind_row[kind] = self._pages + i
        self.unknown = int(self._kind_row[PageKind.IN_USE])
        """Row of pages of unknown use."""
        self.behind = self._pages + _KINDS.index(_BEHIND)
        """Row of those among them that may be tails of a page before them."""
        self.code = CodeNames(kernel.prog, as_printed=keeps_stacks(kernel.prog, caches))
        self._broken = Broken()
        """Free lists that could not be followed: what is on them looks as if it were in use."""
        self._lasting: list[Problem] = []
        """The same, of CPUs' lists and sheaves, which are read once."""
        self.of_stacks: list[Problem] = []
        """Tasks that were unreadable, when the stacks of all were read."""
        for chunk in chunks:
            chunk.site[(chunk.site == NONE) & ~chunk.hidden] = self._percpu

    @property
    def count(self) -> int:
        """Number of rows, call sites included."""
        return self._first_stack + len(self._stack_sites.places)

    @property
    def _first_stack(self) -> int:
        """Row of the first call site in a stack."""
        return self._callers + len(self._area_callers)

    @cached_property
    def _stack_sites(self) -> StackSites:
        return StackSites(self._kept(), self.code)

    def _of_stacks(
        self, handles: U32, others: npt.NDArray[np.int32], *, of_pages: bool
    ) -> npt.NDArray[np.int32]:
        """Rows of the call sites of stacks; *others* where there is no stack."""
        rows = self._stack_sites.rows(handles, of_pages=of_pages)
        return np.where(rows >= 0, self._first_stack + rows, others).astype(np.int32)

    @cached_property
    def areas(self) -> Walked[VmArea]:
        """All vmalloc areas, and what was unreadable."""
        return vm_areas(self.kernel.prog)

    @cached_property
    def _area_callers(self) -> list[int]:
        """Addresses in the code that asked for areas, ascending."""
        return sorted({area.caller for area in self.areas})

    def of_area(self, area: VmArea) -> int:
        """Row of the origin of a vmalloc area."""
        return self._callers + self._area_callers.index(area.caller)

    @cached_property
    def pages_of_areas(self) -> AreaPages:
        """Page frames that lie in vmalloc areas."""
        areas = [a for a in self.areas if a.page_array and 0 < a.pages <= 1 << 32]
        count = np.array([a.pages for a in areas], np.int64)
        arrays = np.array([a.page_array for a in areas], np.uint64)
        starts = np.array([a.start for a in areas], np.uint64)
        index = ranges(count)
        pages, _ = self.memory.words(np.repeat(arrays, count) + _times(index, 8))
        pfn, which = np.unique(self._frames.pfn_of(pages), return_index=True)
        area = np.repeat(np.arange(len(areas)), count)[which]
        return AreaPages(
            pfn, area, starts[area] + _times(index[which], self.kernel.page.bytes), areas
        )

    @cached_property
    def _area_pages(self) -> tuple[Int, npt.NDArray[np.int32]]:
        """Page frames that lie in vmalloc areas, ascending, and the row of each."""
        found = self.pages_of_areas
        rows = np.array([self.of_area(a) for a in found.areas], np.int32)
        return found.pfn, rows[found.area]

    @cached_property
    def _stacks(self) -> tuple[set[int], Int]:
        """Callers that asked for the areas of tasks' stacks; page frames of other stacks."""
        tasks = every_task(self.kernel.prog)
        starts, unreadable = [], 0
        for task in tasks:
            try:
                starts.append(task.stack.value_())
            except ReadErrors:
                unreadable += 1
        self.of_stacks += [replace(problem, affects=_UNTOLD) for problem in tasks.problems]
        if unreadable:
            subject = some(unreadable, "stack of a task", "stacks of tasks")
            many = unreadable != 1
            self.of_stacks.append(Problem(Code.UNREADABLE, subject, "", _UNTOLD, many))
        found = np.unique(np.array(starts, np.uint64))
        base = np.array(
            sorted((a.start, a.start + a.size, a.caller) for a in self.areas), np.uint64
        )
        callers: set[int] = set()
        if len(base):
            which = np.maximum(np.searchsorted(base[:, 0], found, side="right") - 1, 0)
            inside = (found >= base[which, 0]) & (found < base[which, 1])
            callers = set(base[which[inside], 2].tolist())
        pfn = self.kernel.frame_at(found)
        return callers, pfn[(pfn >= 0) & (pfn < 1 << 40)]

    def mark_frames(self, frames: Frames) -> None:
        """Give pages without a tag, at the first page of each allocation, their origin."""
        row = self._kind_row[frames.kind]
        row[(frames.site != NONE) | ~frames.is_head] = NONE
        # A page that nobody counts is the tail of something, or on its way.
        counted = frames.raw["refcount"] > 0
        row[(frames.kind == PageKind.IN_USE) & (frames.order == 0) & ~counted] = NONE
        plain = np.flatnonzero((row != NONE) & (frames.kind == PageKind.IN_USE))
        if len(plain):
            row[plain] = self._of_plain(frames, plain)
        marked = row != NONE
        frames.site[marked] = row[marked]
        frames.loose[marked] = False

    def _of_plain(self, frames: Frames, index: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
        """Rows of pages whose struct pages tell no use."""
        raw = frames.raw[index]
        rows = np.full(len(index), self._kind_row[PageKind.IN_USE], np.int32)
        rows[self._frames.of_users(raw["flags"])] = self._kind_row[PageKind.CACHE]
        of_chunk = np.isin(raw["private"], self._chunks)
        if "index" in (raw.dtype.names or ()):
            of_chunk |= np.isin(raw["index"], self._chunks)
        rows[of_chunk] = self._pages + _KINDS.index(_CHUNKS)
        pfn = frames.section.pfn + index.astype(np.int64)
        known, area_rows = self._area_pages
        if len(known):
            where = np.minimum(np.searchsorted(known, pfn), len(known) - 1)
            hit = known[where] == pfn
            rows[hit] = area_rows[where[hit]]
        rows[np.isin(pfn, self._stacks[1])] = self._pages + _KINDS.index(_STACKS)
        uses = self._marks.of(frames, index)
        for use, name in _USES.items():
            rows[uses == use] = self._pages + _KINDS.index(name)
        rows[uses >= PageUse.RING] = self._pages + _KINDS.index(_RINGS)
        unknown = np.flatnonzero(rows == self.unknown)
        if self._kept() and len(unknown):
            handles = self._kept().of_pages(pfn[unknown])
            rows[unknown] = self._of_stacks(handles, rows[unknown], of_pages=True)
        return rows

    @cached_property
    def _free_elsewhere(self) -> U64:
        """Free objects that slabs count as in use, ascending: CPUs' lists and sheaves."""
        lists = cpu_lists(self.kernel, self._caches)
        broken = Broken()
        on_lists = free_objects(self._aside, self._caches, *lists, broken)
        found = [objects for _, objects in on_lists]
        kept = self._sheaves()
        found.append(kept.free_objects(self._aside))
        self._lasting += broken.problems(self.kernel.prog, FREE_LISTS)
        self._lasting += kept.problems
        return np.unique(np.concatenate(found))

    def read_free_lists(self) -> None:
        """Read CPUs' lists and sheaves, so that what is unreadable there is known."""
        _ = self._free_elsewhere

    def begin(self) -> None:
        """Forget what was unreadable in an earlier pass over memory."""
        self._broken = Broken()

    @property
    def problems(self) -> list[Problem]:
        """Unreadable parts of the last pass, and of what is read once."""
        return [*self._broken.problems(self.kernel.prog, FREE_LISTS), *self._lasting]

    def mark_objects(self, slabs: Slabs, objects: Objects) -> None:
        """Give objects in use that have no tag their origin.

        :param objects: those of whole slabs
        """
        none = objects.site == NONE
        known = np.bincount(objects.slab[~none], minlength=len(slabs))
        # In all others every object that is in use has a reference.
        doubt = slabs.inuse > known
        rows = np.flatnonzero(none & doubt[objects.slab])
        if not len(rows):
            return
        of = np.unique(objects.slab[rows])
        cache = slabs.cache[of].astype(np.int64)
        lists = cache, slabs.freelist[of]
        batches = free_objects(self._aside, self._caches, *lists, self._broken)
        free = np.concatenate([self._free_elsewhere, *(found for _, found in batches)])
        used = rows[~np.isin(objects.address[rows], free)]
        used = used[~self._kept().freed(objects.address[used])]
        of_cache = slabs.cache[objects.slab[used]]
        objects.site[used] = self.first + of_cache
        if self._kept():
            handles = self._kept().of_objects(objects.address[used], of_cache)
            objects.site[used] = self._of_stacks(handles, objects.site[used], of_pages=False)

    def names(self, sites: Sites) -> Origins:
        """The table of all rows.

        :param sites: the call sites, which come first
        """
        of_stacks, _ = self._stacks
        roles = {
            _PAGES[PageKind.SLAB]: Role.SLAB,
            _CHUNKS: Role.PERCPU,
            _STACKS: Role.STACK,
        }
        rows = [
            *(_Row(OriginKind.CACHE, cache.name, shared=cache.shared) for cache in self._caches),
            *(_Row(OriginKind.PAGES, name, roles.get(name, Role.NONE)) for name in _KINDS),
            _Row(OriginKind.PERCPU, _PERCPU),
        ]
        for address in self._area_callers:
            name, module = self.caller(address)
            use = Role.STACK if address in of_stacks else Role.NONE
            rows.append(_Row(OriginKind.CALLER, name, use, shared=not address, module=module))
        for place in self._stack_sites.places:
            rows.append(_Row(OriginKind.STACK, place.text, shared=False, module=place.module))
        return _table(sites, rows)

    def caller(self, address: int) -> tuple[str, str]:
        """``function+0x12`` of who asked for a vmalloc area, and the module; empty for the kernel
        itself."""
        if not address:
            return _NO_CALLER, ""
        place = self.code[address]
        return place.text, place.module

    def caller_text(self, address: int) -> str:
        """:meth:`caller` as one text; empty if there is none."""
        name, module = self.caller(address)
        if not address:
            return ""
        return f"{name} [{module}]" if module else name


@dataclass(frozen=True)
class _Row:
    """A row of :class:`Origins`."""

    kind: OriginKind
    name: str
    use: Role = Role.NONE
    shared: bool = True
    module: str = ""


def _table(sites: Sites, rows: list[_Row]) -> Origins:
    none = Provenance.NONE
    others = Sites.of([Site(row.name, 0, "", row.module, 0, 0, evidence=none) for row in rows])
    columns = vars(Sites.concatenate([sites, others]))
    no = np.zeros(len(sites), np.bool_)
    return Origins(
        **columns,
        origin=np.concatenate([no.astype(np.uint8), np.array([r.kind for r in rows], np.uint8)]),
        use=np.concatenate([sites.role, np.array([r.use for r in rows], np.object_)]),
        common=np.concatenate([no, np.array([r.shared for r in rows], np.bool_)]),
    )
