# SPDX-License-Identifier: LGPL-2.1-or-later
"""All memory, divided by who is charged for it or where it lies: an attribution for each part.

A page belongs to one part as a whole. Objects may belong to another part than the pages that
they lie in do: memory cgroups are charged for objects, nobody for the rest of their slabs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from ..arrays import Int
from ..kernel.machine.charged import NOT_CHARGED, UNREADABLE
from ..kernel.mm.allocations import Zone
from ..kernel.mm.boot_memory import NO_MEMORY
from ..kernel.mm.page_types import PageKind
from ..kernel.mm.page_uses import NO_USE, PageUse
from ..kernel.mm.pagemap import PageMap, Part
from ..kernel.mm.percpu import PerCpuObjects
from ..kernel.mm.slab import Objects, Slabs
from ..kernel.tags.references import EMPTY, NONE, STRAY
from ..kernel.tags.roles import Role
from ..kernel.tags.sites import Sites
from .attribution import Attribution, Attributor, CacheUse, Moved, PageCells, Tally

BY = ("cgroup", "node")
"""Names of divisions."""

NOWHERE = -1
"""The part of page frames that are in no zone."""


@dataclass(frozen=True)
class Division:
    """Parts of memory by number."""

    pages: Callable[[Part], Int]
    """Parts that the page frames of a part of the map belong to, shape (number of pages,)."""
    at: Callable[[Int], Int]
    """The same of page frames that nobody uses or describes, by their numbers."""
    name: Callable[[int], str]
    """Several parts of one name are one."""
    objects: Callable[[Slabs, Objects], npt.NDArray[np.int32]] | None = None
    """Those of slab objects; None if they are those of their pages."""
    percpu: Callable[[PerCpuObjects], npt.NDArray[np.int32]] | None = None
    """The same of per-CPU objects."""


def by_cgroup(pagemap: PageMap) -> Division:
    """By the memory cgroup that is charged."""
    charges = pagemap.charges

    def pages(part: Part) -> Int:
        frames = part.frames
        out = np.full(len(frames.head), NOT_CHARGED, np.int64)
        heads = np.flatnonzero(frames.is_head)
        out[heads] = charges.of_pages(frames, heads)
        out = out[frames.head]
        tails, first = part.loose_tails
        out[tails] = out[first]
        out[frames.kind == PageKind.UNREADABLE] = UNREADABLE
        return out

    def at(pfn: Int) -> Int:
        return np.full(len(pfn), NOT_CHARGED, np.int64)

    return Division(pages, at, charges.cgroups.name, charges.of_objects, charges.of_percpu)


def by_node(zones: list[Zone]) -> Division:
    """By the NUMA node that it lies on."""

    def at(pfn: Int) -> Int:
        out = np.full(len(pfn), NOWHERE, np.int64)
        for zone in zones:
            out[(pfn >= zone.pfn) & (pfn < zone.pfn + zone.spanned) & (out == NOWHERE)] = zone.node
        return out

    def name(node: int) -> str:
        return "(in no zone)" if node == NOWHERE else f"node {node}"

    return Division(lambda part: at(part.frames.pfn), at, name)


_COLUMNS = ("capacity", "in_use", "tagged", "empty", "stray", "unreadable", "inside")
"""Those of :class:`.attribution.CacheUse` that an account needs."""


class _Move(IntEnum):
    """Bytes that count elsewhere than their pages do."""

    SLAB = 0
    """In others' slabs, less those of others in its own."""
    KFENCE = 1
    """Tagged objects in KFENCE's pool."""
    POOL = 2
    """Tagged objects in the pages that it has of that."""


class _Cells:
    """Sums by part of memory and cell, of which few combinations occur.

    :param size: number of cells
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._sums: dict[int, dict[int, int]] = {}

    def add(self, part: Int, cell: Int, values: Int | None = None) -> None:
        """Add 1, or *values*, to cells of parts."""
        if not len(part):
            return
        low = int(part.min())
        keys, which = np.unique((part - low) * self.size + cell, return_inverse=True)
        sums = np.zeros(len(keys), np.int64)
        np.add.at(sums, which, 1 if values is None else values)
        for key, value in zip(keys.tolist(), sums.tolist(), strict=True):
            row = self._sums.setdefault(key // self.size + low, {})
            row[key % self.size] = row.get(key % self.size, 0) + value

    def parts(self) -> set[int]:
        """Parts that have any."""
        return set(self._sums)

    def of(self, parts: Iterable[int]) -> Int:
        """The sums of some parts together: shape (size,)."""
        out = np.zeros(self.size, np.int64)
        for part in parts:
            row = self._sums.get(part, {})
            out[np.array(list(row), np.int64)] += np.array(list(row.values()), np.int64)
        return out


class Divider(Attributor):
    """Adds up all memory, and that of each part of *division*."""

    def __init__(self, pagemap: PageMap, division: Division) -> None:
        super().__init__(pagemap)
        self.division = division
        caches = len(pagemap.caches)
        self._page_cells = _Cells(self._kinds.size)
        self._use_cells = _Cells(self._uses.size)
        self._huge_cells = _Cells(len(self._huge))
        self._reserved_cells = _Cells(len(self.boot.labels))
        self._object_bytes = _Cells(self.count)
        self._columns = {name: _Cells(caches) for name in _COLUMNS}
        self._moved = _Cells(len(_Move))
        self._of_page: Int = np.zeros(0, np.int64)
        self._first = 0

    def _add_pages(self, part: Part, pages: PageCells) -> None:
        super()._add_pages(part, pages)
        self._of_page, self._first = self.division.pages(part), part.frames.section.pfn
        of, count = self._of_page, self.count + 3
        some = pages.memory
        self._page_cells.add(of[some], (pages.kind * count + pages.column)[some])
        used = pages.use != NO_USE
        self._use_cells.add(of[used], pages.use[used] * count + pages.column[used])
        huge = pages.huge >= 0
        self._huge_cells.add(of[huge], pages.huge[huge])
        reserved = pages.label > 0
        self._reserved_cells.add(of[reserved], pages.label[reserved])

    def _of_slabs(self, slabs: Slabs) -> Int:
        return self._of_page[slabs.pfn - self._first]

    def _add_slabs(self, slabs: Slabs) -> None:
        super()._add_slabs(slabs)
        known = (slabs.cache >= 0) & ~slabs.kfence
        of, cache = self._of_slabs(slabs)[known], slabs.cache[known].astype(np.int64)
        self._columns["capacity"].add(of, cache, slabs.objects[known])
        self._columns["inside"].add(of, cache, self._inside(slabs)[known])

    def _add_objects(self, slabs: Slabs, objects: Objects) -> None:
        super()._add_objects(slabs, objects)
        used = objects.site != NONE
        slab, site = objects.slab[used], objects.site[used].astype(np.int64)
        of_slab = self._of_slabs(slabs)[slab]
        of = of_slab
        if self.division.objects is not None:
            of = self.division.objects(slabs, objects)[used].astype(np.int64)
        cache = slabs.cache[slab].astype(np.int64)
        size, guarded = self._sizes[cache], slabs.kfence[slab]
        tagged = (site >= 0) & (site < self.tags)
        self._object_bytes.add(of[tagged], site[tagged], size[tagged])
        columns = self._columns
        for name, rows in (
            ("in_use", ~guarded),
            ("tagged", tagged & ~guarded),
            ("empty", (site == EMPTY) & ~guarded),
            ("stray", (site == STRAY) & ~guarded),
            ("unreadable", ~objects.readable[used] & ~guarded),
        ):
            columns[name].add(of[rows], cache[rows])
        away = np.flatnonzero((of != of_slab) & ~guarded)
        for parts, sign in ((of[away], 1), (of_slab[away], -1)):
            columns["capacity"].add(parts, cache[away], np.full(len(away), sign))
            self._moved.add(parts, np.full(len(away), _Move.SLAB), sign * size[away])
        pool = np.flatnonzero(guarded & tagged)
        self._moved.add(of[pool], np.full(len(pool), _Move.KFENCE), size[pool])
        self._moved.add(of_slab[pool], np.full(len(pool), _Move.POOL), size[pool])

    def parts(self, whole: Attribution, origins: Sites) -> Iterator[tuple[str, Attribution]]:
        """Name and memory of each part, after the last part of the map.

        :param whole: :meth:`result`
        :param origins: names of all rows
        """
        self._add_free_blocks()
        row, percpu = self._percpu(whole, origins)
        extensions = self._page_extensions()
        named: dict[str, list[int]] = {}
        columns = (self._page_cells, self._object_bytes, self._columns["in_use"], percpu)
        for number in sorted(set[int]().union(*(cells.parts() for cells in columns))):
            named.setdefault(self.division.name(number), []).append(number)
        for name, of in named.items():
            memory = self._memory(whole, of)
            moved = replace(memory.moved, percpu={row: int(percpu.of(of)[0])})
            yield name, replace(memory, moved=moved, page_ext=int(extensions.of(of)[0]))

    def _memory(self, whole: Attribution, of: list[int]) -> Attribution:
        """The memory of some parts together."""
        columns = {name: np.zeros_like(self._slab.slabs) for name in vars(self._slab)}
        columns |= {name: cells.of(of) for name, cells in self._columns.items()}
        reserved = zip(self.boot.labels, self._reserved_cells.of(of).tolist(), strict=True)
        objects = self._object_bytes.of(of)
        moved = self._moved.of(of).tolist()
        return replace(
            whole,
            kinds=self._page_cells.of(of).reshape(self._kinds.shape),
            uses=self._use_cells.of(of).reshape(self._uses.shape),
            huge=self._huge_cells.of(of),
            objects=Tally(objects, np.zeros_like(objects)),
            slab=CacheUse(**columns),
            reserved={label: n for label, n in reserved if n and label != NO_MEMORY},
            kfence=moved[_Move.KFENCE],
            moved=Moved(moved[_Move.POOL], moved[_Move.SLAB]),
        )

    def _add_free_blocks(self) -> None:
        """Count the largest free blocks, which are in no part of the map."""
        for first in self.pagemap.frames.free_blocks:
            cell = PageKind.FREE * (self.count + 3) + self.count + 3 + NONE
            size = np.full(len(first), self.pagemap.frames.window)
            self._page_cells.add(self.division.at(first), np.full(len(first), cell), size)
            cma = self._in_cma(first)
            of = self.division.at(first[cma])
            use = PageUse.CMA_FREE * (self.count + 3) + self.count + 3 + NONE
            self._use_cells.add(of, np.full(len(of), use), size[cma])

    def _page_extensions(self) -> _Cells:
        """Bytes of page extensions: one cell for each part."""
        found = _Cells(1)
        tables = self.pagemap.frames.page_ext_tables
        of = self.division.at(np.array([pfn for pfn, _ in tables], np.int64))
        found.add(of, np.zeros(len(of), np.int64), np.array([size for _, size in tables], np.int64))
        return found

    def _percpu(self, whole: Attribution, origins: Sites) -> tuple[int, _Cells]:
        """Bytes that each part has in the pages of per-CPU chunks, which are nobody's; of nobody,
        less than nothing.

        :return: row of the origin of these pages, and one cell for each part
        """
        pages = whole.kinds[PageKind.IN_USE][: self.count]
        backing = np.where(origins.role == Role.PERCPU, pages, 0)
        found, sizes = _Cells(1), _Cells(1)
        if self.division.percpu is None or not backing.any():
            return 0, found
        row = int(np.argmax(backing))
        room = int(backing[row]) * self.page.bytes
        for chunk in self.pagemap.percpu_chunks:
            of = self.division.percpu(chunk).astype(np.int64)
            size = chunk.size * len(self.pagemap.kernel.cpus)
            sizes.add(of, np.zeros(len(of), np.int64), size)
        for part in sorted(sizes.parts() - {NOT_CHARGED}):
            taken = min(room, int(sizes.of([part])[0]))
            room -= taken
            to, values = np.array([part, NOT_CHARGED]), np.array([taken, -taken])
            found.add(to, np.zeros(2, np.int64), values)
        return row, found
