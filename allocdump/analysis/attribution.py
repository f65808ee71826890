# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sums of memory by call site: of all page frames, slab objects and per-CPU objects.

Everything is summed up section by section, so that memory use does not grow with the
dump's. The page and object references that make it up are exact; inferred sizes are kept
apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ..arch.base import PageSize
from ..arrays import Bool, Columns, Int, sum_by
from ..kernel.layouts import has_constant
from ..kernel.machine.page_pools import PagePool
from ..kernel.machine.tasks import stacks
from ..kernel.mm.boot_memory import NO_MEMORY, SYSTEM_RAM
from ..kernel.mm.page_types import PageKind
from ..kernel.mm.page_uses import IN_USE, NO_USE, PageUse
from ..kernel.mm.pagemap import PageMap, Part
from ..kernel.mm.pages import Frames
from ..kernel.mm.slab import Cache, Objects, Slabs
from ..kernel.tags.references import EMPTY, NONE, STRAY, Rows
from ..problems import Problem
from ..result import Result, Values
from .vectors import VectorCycles, VectorFinder

_MAX_STRAYS = 1 << 16


HUGE_USED, HUGE_FREE, UNMARKED_LARGE = 0, 64, 128
"""Parts of huge pages that somebody has, and of those that nobody has, to which the order of the
huge page is added; those of compound pages that a kernel may have handed out by a large kmalloc(),
if it does not mark these."""
_HUGE = 129
_LARGE = 2
"""Least order of a large kmalloc(): up to two pages are slab objects."""


@dataclass(frozen=True)
class Tally(Columns):
    """Bytes and number of allocations by site: two columns of shape (number of sites,)."""

    bytes: Int
    calls: Int

    @classmethod
    def zeros(cls, sites: int) -> Tally:
        return cls(np.zeros(sites, np.int64), np.zeros(sites, np.int64))

    def first(self, sites: int) -> Tally:
        """The first rows alone."""
        return Tally(self.bytes[:sites], self.calls[:sites])

    def add(self, rows: Rows, size: Int | int) -> None:
        """Count an allocation of *size* bytes for each of *rows*; negative rows are skipped."""
        of_sites = rows >= 0
        sizes = np.broadcast_to(size, rows.shape)[of_sites]
        count = len(self.bytes)
        self.calls[:] += np.bincount(rows[of_sites], minlength=count)
        self.bytes[:] += sum_by(rows[of_sites], sizes, count)


@dataclass(frozen=True)
class CacheUse(Columns):
    """Use of each cache's slabs; columns of shape (number of caches,)."""

    slabs: Int
    pages: Int
    capacity: Int
    """Objects that the slabs have room for."""
    in_use: Int
    """Objects that are on no free list and in no sheaf."""
    cached: Int
    """Free objects that the kernel counts as active: in sheaves, on CPUs' lists and slabs."""
    tagged: Int
    """Objects that a site holds."""
    empty: Int
    """Objects marked CODETAG_EMPTY: allocated, not counted."""
    stray: Int
    """Objects that refer to no known tag."""
    unreadable: Int
    """Objects whose references are not in the dump."""
    untracked: Int
    """Room for objects in slabs without extensions: nothing tells whose they are."""
    failed: Int
    """The part of *untracked* whose extension vector could not be allocated."""
    inside: Int
    """Bytes of extensions that lie inside the slabs."""


@dataclass(frozen=True)
class Moved:
    """Bytes of objects that count elsewhere than the pages that they lie in."""

    kfence: int = 0
    """Of KFENCE's pool: its tagged objects count as slab."""
    slab: int = 0
    """Of a part of memory: objects in others' slabs, less those of others in its own."""
    percpu: Mapping[int, int] = field(default_factory=dict)
    """The same of per-CPU objects in the pages of chunks, by origin of these pages."""


@dataclass(frozen=True)
class Attribution(Result):
    """Owners of memory. Rows of sites are those of :class:`.origins.Origins`."""

    page: PageSize
    pages: Tally
    """By references from pages; slab pages count for the site of their pages."""
    inferred: Tally
    """Tails of higher-order allocations that are not compound, found by what follows."""
    objects: Tally
    """By references from slab objects, each with the size its cache accounts it with."""
    percpu: Tally
    """By references from per-CPU objects, with the size of one CPU's copy."""
    reserved: dict[str, int]
    """Reserved page frames that are memory, by what is known of them; the rest is ``""``."""
    map_known: bool
    """False where the kernel's map of memory is unreadable: holes count as reserved memory."""
    kinds: Int
    """Page frames by kind and site: shape (kinds, sites + 3); the last columns are
    STRAY, EMPTY and NONE. Reserved frames that are no memory are left out."""
    uses: Int
    """Page frames of some kinds by use and site: shape (uses, sites + 3). Uses are those of
    :class:`.page_uses.PageUse`, the last one once for each page pool."""
    pools: list[PagePool]
    """The page pools that uses are of, by address."""
    huge: Int
    """Page frames by :data:`HUGE_USED`, :data:`HUGE_FREE` and :data:`UNMARKED_LARGE`: shape
    (129,)."""
    slab: CacheUse
    caches: list[Cache]
    strays: dict[int, tuple[int, int]]
    """Addresses of no known tag that references point at: (references, bytes)."""
    unknown_slabs: int
    """Slabs whose cache is not known."""
    kfence: int
    """Bytes of tagged objects in KFENCE's pool, which is boot memory and no slab."""
    percpu_vectors: int
    """Bytes of the extension vectors of per-CPU chunks."""
    page_ext: int
    """Bytes of page extensions, those of the extensions' own pages included."""
    unreadable_pages: int
    """Page frames whose struct page is not in the dump."""
    problems: list[Problem]
    moved: Moved = field(default_factory=Moved)
    """Bytes that count elsewhere than their pages do."""
    cycles: VectorCycles = field(default_factory=VectorCycles)
    """Slabs that can never be given back, since they hold one another's extension vectors."""

    @property
    def vmalloc(self) -> Int:
        """Pages of the kind IN_USE that lie in vmalloc areas, by site: shape (sites + 3,)."""
        areas: Int = self.uses[[PageUse.AREA, PageUse.IDLE_AREA]].sum(axis=0)
        return areas

    @property
    def special(self) -> Int:
        """Those that are of a use of their own and in no vmalloc area: likewise."""
        uses = [use for use in IN_USE if use not in (PageUse.AREA, PageUse.IDLE_AREA)]
        found: Int = self.uses[uses].sum(axis=0) + self.uses[PageUse.RING :].sum(axis=0)
        return found

    def of_tags(self, sites: int) -> Attribution:
        """The same by tags alone: what has another origin has none.

        :param sites: number of call sites, whose rows come first
        """

        def of_tags(columns: Int) -> Int:
            kept = np.concatenate([columns[..., :sites], columns[..., -3:]], axis=-1)
            kept[..., -1] += columns[..., sites:-3].sum(axis=-1)
            return kept

        return replace(
            self,
            kinds=of_tags(self.kinds),
            uses=of_tags(self.uses),
            pages=self.pages.first(sites),
            inferred=self.inferred.first(sites),
            objects=self.objects.first(sites),
            percpu=self.percpu.first(sites),
        )

    def to_dict(self) -> dict[str, Values]:
        """Bytes by site as columns, by the kind of reference."""
        tallies = ("pages", "inferred", "objects", "percpu")
        return {name: getattr(self, name).bytes for name in tallies}


@dataclass(frozen=True)
class PageCells:
    """Classes of the page frames of a part; columns of shape (number of pages,)."""

    memory: Bool
    """False for reserved frames that are no memory: these are left out."""
    kind: Int
    """A :class:`.page_types.PageKind`."""
    column: Int
    """Of :attr:`Attribution.kinds`."""
    label: Int
    """Index of the label of a reserved frame; else 0."""
    use: Int
    """Row in :attr:`Attribution.uses`; NO_USE for most."""
    huge: Int
    """Index in :attr:`Attribution.huge`; -1 for most."""


class Attributor:
    """Adds up the parts of a page map; :meth:`result` is what they hold."""

    def __init__(self, pagemap: PageMap) -> None:
        self.pagemap, self.page = pagemap, pagemap.kernel.page
        self.boot = pagemap.boot_memory
        self._reserved = np.zeros(len(self.boot.labels), np.int64)
        self.tags, count = pagemap.sites, pagemap.origins.count
        self.count = count
        caches = len(pagemap.caches)
        self._sizes = pagemap.slabs.sizes
        self._pages, self._inferred = Tally.zeros(count), Tally.zeros(count)
        self._objects = Tally.zeros(count)
        self._kinds = np.zeros((len(PageKind), count + 3), np.int64)
        uses = PageUse.RING + len(pagemap.pools)
        self._uses = np.zeros((uses, count + 3), np.int64)
        self._huge = np.zeros(_HUGE, np.int64)
        self._idle_area = self._areas_of_no_task()
        self._marks_large = has_constant(pagemap.kernel.prog, "PGTY_large_kmalloc")
        self._slab = CacheUse(*np.zeros((12, caches), np.int64))
        self._strays: dict[int, tuple[int, int]] = {}
        self._unknown_slabs = self._unreadable_pages = self._kfence = 0
        self._vectors = VectorFinder(pagemap.kernel.page)

    def part(self, part: Part) -> None:
        """Count one part."""
        self._add_pages(part, self._cells(part))
        self._add_slabs(part.slabs)
        for objects in part.objects():
            self._add_objects(part.slabs, objects)

    def result(self) -> Attribution:
        """All sums, after the last part."""
        pagemap, percpu, vectors = self.pagemap, Tally.zeros(self.count), 0
        self._kinds[PageKind.FREE, NONE] += pagemap.frames.free_pages
        for first in pagemap.frames.free_blocks:
            of_cma = int(np.count_nonzero(self._in_cma(first)))
            self._uses[PageUse.CMA_FREE, NONE] += of_cma * pagemap.frames.window
        self._less_free_objects()
        for chunk in pagemap.percpu_chunks:
            percpu.add(chunk.site, chunk.size)
            self._add_strays(chunk.site, chunk.refs, chunk.size)
            vectors += chunk.vector_bytes
        labels = zip(self.boot.labels, self._reserved.tolist(), strict=True)
        return Attribution(
            page=self.page,
            pages=self._pages,
            inferred=self._inferred,
            objects=self._objects,
            percpu=percpu,
            reserved={label: n for label, n in labels if n and label != NO_MEMORY},
            map_known=not self.boot.problems,
            kinds=self._kinds,
            uses=self._uses,
            pools=pagemap.pools,
            huge=self._huge,
            slab=self._slab,
            caches=pagemap.caches,
            strays=self._strays,
            unknown_slabs=self._unknown_slabs,
            kfence=self._kfence,
            percpu_vectors=vectors,
            page_ext=pagemap.frames.page_ext_bytes,
            unreadable_pages=self._unreadable_pages,
            problems=pagemap.problems(),
            moved=Moved(kfence=self._kfence),
            cycles=self._vectors.result(),
        )

    def _cells(self, part: Part) -> PageCells:
        frames = part.frames
        # What a page belongs to, its first page knows; loose tails have theirs elsewhere.
        site = frames.site[frames.head]
        site[frames.is_free] = NONE
        tails, inferred = part.loose_tails
        site[tails] = frames.site[inferred]
        # Negative rows count from the end: NONE, EMPTY, STRAY.
        column = np.where(site >= 0, site, self.count + 3 + site).astype(np.int64)
        reserved = frames.kind == PageKind.RESERVED
        label = np.where(reserved, self._labels(frames), 0)
        return PageCells(
            ~(reserved & (label == 0)),
            frames.kind.astype(np.int64),
            column,
            label,
            self._use(frames),
            self._huge_use(frames),
        )

    def _areas_of_no_task(self) -> Bool:
        """Mark the vmalloc areas that are no task's stack; none, where tasks are unreadable."""
        used = stacks(self.pagemap.kernel.prog)
        areas = self.pagemap.origins.pages_of_areas.areas
        found = [used is not None and area.start not in used for area in areas]
        # A page frame of no area has the last one.
        return np.array([*found, False], np.bool_)

    def _use(self, frames: Frames) -> Int:
        use = self.pagemap.marks.of_frames(frames)
        use[(use == NO_USE) & frames.is_unmapped] = PageUse.UNMAPPED
        free = (use == NO_USE) & (frames.kind == PageKind.FREE)
        use[free & self._in_cma(frames.pfn)] = PageUse.CMA_FREE
        first, last = frames.section.pfn, frames.section.pfn + frames.section.pages
        of_areas = self.pagemap.origins.pages_of_areas
        rows = of_areas.rows_of(first, last)
        index = of_areas.pfn[rows.start : rows.stop] - first
        area = of_areas.area[rows.start : rows.stop]
        idle = (area >= 0) & self._idle_area[area]
        plain = (use[index] == NO_USE) & (frames.kind[index] == PageKind.IN_USE)
        use[index[plain]] = np.where(idle, PageUse.IDLE_AREA, PageUse.AREA)[plain]
        return use

    def _huge_use(self, frames: Frames) -> Int:
        use = np.full(len(frames.kind), -1, np.int64)
        if not self._marks_large:
            large = frames.order[frames.head] >= _LARGE
            use[large & (frames.kind == PageKind.IN_USE)] = UNMARKED_LARGE
        huge = np.flatnonzero(frames.kind == PageKind.HUGETLB)
        head = frames.head[huge]
        first = np.where(frames.raw["refcount"][head] > 0, HUGE_USED, HUGE_FREE)
        use[huge] = first + np.minimum(frames.order[head], HUGE_FREE - HUGE_USED - 1)
        if frames.before:
            inside = huge[huge < frames.before.pages]
            first_use = HUGE_USED if frames.before.counted else HUGE_FREE
            use[inside] = first_use + frames.before.order
        return use

    def _in_cma(self, pfn: Int) -> Bool:
        inside = np.zeros(len(pfn), np.bool_)
        for span in self.pagemap.cma:
            inside |= (pfn >= span.start) & (pfn < span.end)
        return inside

    def _labels(self, frames: Frames) -> Int:
        """Indexes of the labels of page frames; 0 for those that are no memory."""
        first, count = frames.section.pfn, frames.section.pages
        label = np.zeros(count, np.int64)
        for span in self.boot.spans:
            # Inner spans follow outer ones, and what is in no memory stays so.
            part = label[max(0, span.start - first) : max(0, min(count, span.end - first))]
            index = self.boot.labels.index(span.label)
            part[(part > 0) | (span.label == SYSTEM_RAM)] = index
        return label

    def _add_pages(self, part: Part, pages: PageCells) -> None:
        count, frames = self.count, part.frames
        starts = np.flatnonzero(frames.is_head & ~frames.is_free & (frames.site != NONE))
        rows, order = frames.site[starts], frames.order[starts].astype(np.int64)
        self._pages.add(rows, self.page.bytes << order)
        self._add_strays(rows, frames.refs[starts], self.page.bytes << order)
        _, inferred = part.loose_tails
        heads, lengths = np.unique(inferred, return_counts=True)
        self._inferred.add(frames.site[heads], lengths.astype(np.int64) << self.page.shift)
        cell = (pages.kind * (count + 3) + pages.column)[pages.memory]
        kinds, reserved, uses, huge = self._kinds, self._reserved, self._uses, self._huge
        used = pages.use != NO_USE
        of_use = pages.use[used] * (count + 3) + pages.column[used]
        uses += np.bincount(of_use, minlength=uses.size).reshape(uses.shape)
        kinds += np.bincount(cell, minlength=kinds.size).reshape(kinds.shape)
        is_reserved = frames.kind == PageKind.RESERVED
        reserved += np.bincount(pages.label[is_reserved], minlength=len(reserved))
        huge += np.bincount(pages.huge[pages.huge >= 0], minlength=len(huge))
        self._unreadable_pages += int(np.count_nonzero(frames.kind == PageKind.UNREADABLE))

    def _add_slabs(self, slabs: Slabs) -> None:
        self._vectors.add(slabs)
        self._unknown_slabs += int(np.count_nonzero(slabs.cache < 0))
        use, known = self._slab, (slabs.cache >= 0) & ~slabs.kfence
        caches = len(self.pagemap.caches)

        def add(column: Int, rows: npt.NDArray[np.bool_], values: Int) -> None:
            column += sum_by(slabs.cache[rows], values[rows], caches)

        pages = np.int64(1) << slabs.order.astype(np.int64)
        add(use.slabs, known, np.ones(len(slabs), np.int64))
        add(use.pages, known, pages)
        add(use.capacity, known, slabs.objects)
        add(use.in_use, known, slabs.inuse)
        kept = np.isin(slabs.pfn, self.pagemap.cpu_slabs)
        add(use.cached, known & kept, slabs.objects - slabs.inuse)
        add(use.untracked, known & (slabs.vector == 0), slabs.objects)
        add(use.failed, known & slabs.failed, slabs.objects)
        add(use.inside, known, self._inside(slabs))

    def _inside(self, slabs: Slabs) -> Int:
        """Bytes of extensions that lie in the slabs themselves."""
        size = np.int64(self.page.bytes) << slabs.order.astype(np.int64)
        inside = (slabs.vector != 0) & (slabs.vector - slabs.address < size.astype(np.uint64))
        step = np.minimum(slabs.stride, slabs.ref_offset + 8)
        return np.where(inside, slabs.objects * step, 0)

    def _less_free_objects(self) -> None:
        """Slabs count as in use what is free on CPUs' lists and in sheaves."""
        use = self._slab
        in_use, cached = use.in_use, use.cached
        in_use -= self.pagemap.free_in_use
        cached += self.pagemap.free_in_use
        # What carries a reference is in use, whatever damaged lists say.
        np.clip(use.in_use, use.tagged + use.empty + use.stray, use.capacity, out=use.in_use)

    def _add_objects(self, slabs: Slabs, objects: Objects) -> None:
        cache = slabs.cache[objects.slab]
        size = self._sizes[cache]
        self._objects.add(objects.site, size)
        self._add_strays(objects.site, objects.refs, size)
        use, caches = self._slab, len(self.pagemap.caches)
        of_slabs = ~slabs.kfence[objects.slab]
        tagged = (objects.site >= 0) & (objects.site < self.tags)
        self._kfence += int(size[tagged & ~of_slabs].sum())
        for column, rows in (
            (use.tagged, of_slabs & tagged),
            (use.empty, of_slabs & (objects.site == EMPTY)),
            (use.stray, of_slabs & (objects.site == STRAY)),
            (use.unreadable, of_slabs & ~objects.readable),
        ):
            column += np.bincount(cache[rows], minlength=caches)

    def _add_strays(self, rows: Rows, refs: npt.NDArray[np.uint64], size: Int) -> None:
        stray = rows == STRAY
        if not stray.any():
            return
        address, where = np.unique(refs[stray], return_inverse=True)
        count = np.bincount(where)
        total = np.bincount(where, size[stray])
        for a, c, t in zip(address.tolist(), count.tolist(), total.tolist(), strict=True):
            before = self._strays.get(a, (0, 0))
            if a in self._strays or len(self._strays) < _MAX_STRAYS:
                self._strays[a] = (before[0] + c, before[1] + int(t))
