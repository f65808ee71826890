# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that stands in the way of large pieces: unmovable pages by block and origin.

A block, aligned to its size, can become free if nothing unmovable is in it: compaction moves
the rest elsewhere, as far as memory is free there. Mirrors ``isolate_migratepages_block()`` in
``mm/compaction.c`` and ``page_has_movable_ops()``; pinned pages are taken for movable ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..arch.base import PageSize
from ..arrays import Bool, Columns, Int, sum_by
from ..kernel.machine.free_lists import FreeLists
from ..kernel.machine.zones import ZoneState
from ..kernel.mm.allocations import Zone
from ..kernel.mm.origins import Origins
from ..kernel.mm.page_types import PageKind
from ..kernel.mm.pagemap import PageMap, Part
from ..kernel.tags.references import NONE
from ..kernel.tags.sites import OriginKind
from ..problems import Problem
from ..result import Result, Values, column

_MOVABLE = (PageKind.ANONYMOUS, PageKind.CACHE, PageKind.SHMEM)
_MOVABLE_MASK = np.uint64(3)
_MOVABLE_OPS = np.uint64(2)
"""PAGE_MAPPING_MOVABLE, in ``page->mapping``: until Linux 6.16."""
BOOT, OFFLINE, UNREADABLE, UNTOLD, SLABS = range(5)
OTHERS = (
    "boot memory",
    "offline (balloon)",
    "struct page not in the dump",
    "other pages without a site",
    "all slab caches together",
)
"""Names of the rows behind those of the origins: pages without one, and the sum of all caches."""


@dataclass
class Contents(Columns):
    """Unmovable pages of one origin in one block; columns of shape (pairs of these,)."""

    block: Int
    """Number of the block: its first page frame, divided by its pages."""
    row: Int
    """Row of the origin, or of :data:`OTHERS` behind them."""
    pages: Int
    empty: Int
    """Bytes of free objects in these pages, if they are slabs."""


@dataclass
class Blocks(Columns):
    """Blocks of one order; columns of shape (number of blocks,)."""

    block: Int
    """Number of the block, ascending."""
    free: Int
    """Free pages in it."""
    movable: Int
    unmovable: Int


class BlockAdder:
    """Visits a page map, and sums up what is in each block.

    :param order: of the blocks
    :param origins: number of origins
    """

    def __init__(self, pagemap: PageMap, order: int, origins: int) -> None:
        self.pagemap, self.order, self.origins = pagemap, order, origins
        self._contents: list[Contents] = []
        self._blocks: list[Blocks] = []
        try:
            flag = pagemap.kernel.prog.constant("PG_movable_ops").value_()
            self._movable_flag = np.uint64(1 << flag)
        except LookupError:
            self._movable_flag = np.uint64(0)

    def part(self, part: Part) -> None:
        """Sum up one part."""
        frames = part.frames
        block = frames.pfn >> self.order
        first = int(block[0]) if len(block) else 0
        movable = self._movable(part)
        unmovable = ~frames.is_free & ~movable
        count = int(block[-1]) - first + 1 if len(block) else 0

        def per_block(pages: Bool) -> Int:
            return np.bincount(block[pages] - first, minlength=count).astype(np.int64)

        sums = [per_block(pages) for pages in (frames.is_free, movable, unmovable)]
        self._blocks.append(Blocks(first + np.arange(count), *sums))
        row, empty = self._rows(part)
        rows = self.origins + len(OTHERS)
        key, index = np.unique(block[unmovable] * rows + row[unmovable], return_inverse=True)
        self._contents.append(
            Contents(
                key // rows,
                key % rows,
                np.bincount(index, minlength=len(key)).astype(np.int64),
                sum_by(index, empty[unmovable], len(key)),
            )
        )

    def _movable(self, part: Part) -> Bool:
        """Mark pages that compaction can move, by their heads."""
        frames = part.frames
        raw, kind = frames.raw, frames.kind
        out = np.isin(kind, _MOVABLE)
        in_use = kind == PageKind.IN_USE
        out |= in_use & self.pagemap.frames.of_users(raw["flags"])
        if self._movable_flag:
            can = np.isin(kind, (PageKind.IN_USE, PageKind.OFFLINE))
            # Only pages of two types have the flag, whose bit means something else elsewhere.
            typed = raw["page_type"] >> np.uint32(24) != np.uint32(0xFF)
            out |= can & typed & (raw["flags"] & self._movable_flag != 0)
        else:
            out |= in_use & (raw["mapping"] & _MOVABLE_MASK == _MOVABLE_OPS)
        return np.asarray(out[frames.head])

    def _rows(self, part: Part) -> tuple[Int, Int]:
        """Row of each page, and bytes of free objects in it."""
        frames, others = part.frames, self.origins
        head = frames.head.astype(np.int64)
        tails, starts = part.loose_tails
        head[tails] = starts
        site = frames.site[head].astype(np.int64)
        kind = frames.kind
        row = np.where(site >= 0, site, others + UNTOLD)
        untold = site == NONE
        for of, number in (
            (PageKind.RESERVED, BOOT),
            (PageKind.OFFLINE, OFFLINE),
            (PageKind.UNREADABLE, UNREADABLE),
        ):
            row[untold & (kind == of)] = others + number
        empty = np.zeros(len(row), np.int64)
        slabs = part.slabs
        known = np.flatnonzero((slabs.cache >= 0) & ~slabs.kfence)
        if len(known):
            start = slabs.pfn[known] - frames.section.pfn
            cache = np.full(len(row), -1, np.int64)
            cache[start] = slabs.cache[known]
            pages = np.int64(1) << slabs.order[known].astype(np.int64)
            sizes = self.pagemap.slabs.sizes[slabs.cache[known]]
            unused = np.zeros(len(row), np.int64)
            unused[start] = (slabs.objects - slabs.inuse)[known] * sizes // pages
            of_slab = cache[head] >= 0
            row[of_slab] = self.pagemap.origins.first + cache[head][of_slab]
            empty[of_slab] = unused[head][of_slab]
        return row, empty

    def result(self) -> tuple[Blocks, Contents]:
        """All blocks, those of the largest free blocks included, and their contents."""
        left_out = np.concatenate([np.zeros(0, np.int64), *self.pagemap.frames.free_blocks])
        window = self.pagemap.frames.window
        size = min(1 << self.order, window)
        pieces = np.arange(0, window, size)
        free = ((left_out[:, None] + pieces) >> self.order).ravel()
        none = np.zeros(len(free), np.int64)
        self._blocks.append(Blocks(free, np.full(len(free), size), none, none))
        found = Blocks.concatenate(self._blocks)
        block, index = np.unique(found.block, return_inverse=True)
        sums = [sum_by(index, pages, len(block)) for pages in _sums(found)]
        contents = Contents.concatenate([_NO_CONTENTS, *self._contents])
        rows = self.origins + len(OTHERS)
        key, index = np.unique(contents.block * rows + contents.row, return_inverse=True)
        merged = Contents(
            key // rows,
            key % rows,
            sum_by(index, contents.pages, len(key)),
            sum_by(index, contents.empty, len(key)),
        )
        return Blocks(block, *sums), merged


_NO_CONTENTS = Contents(*(np.zeros(0, np.int64) for _ in range(4)))


def _sums(blocks: Blocks) -> tuple[Int, Int, Int]:
    return blocks.free, blocks.movable, blocks.unmovable


@dataclass
class InTheWay(Columns):
    """Origins with unmovable pages in a zone; columns of shape (pairs of these,).

    Those come first without which most blocks had nothing unmovable.
    """

    zone: Int
    """Index in :attr:`Fragmentation.zones`."""
    row: Int
    """Row of the origin, or of :data:`OTHERS` behind them."""
    gives: Int
    """Blocks in which nothing else is unmovable."""
    gives_whole: Int
    """Those of them with nothing movable, either: they would be free at once."""
    gives_bytes: Int
    """Its bytes in these blocks."""
    gives_empty: Int
    """Those of them that are free objects of slabs."""
    blocks: Int
    """Blocks with any of it."""
    bytes: Int
    """All of its bytes."""


@dataclass(frozen=True)
class ZoneBlocks:
    """A zone, its free blocks, and how its memory lies in blocks of one order."""

    state: ZoneState
    free: FreeLists | None
    """None if the lists are unreadable."""
    blocks: int
    """Whole blocks of the order."""
    whole: int
    """Those of them that are free."""
    movable: int
    """Others with nothing unmovable."""
    movable_cma: int = 0
    """Those of them that are CMA's: of use to movable requests only."""


@dataclass(frozen=True)
class Fragmentation(Result):
    """Zones in blocks of one order, and what stands in the way of these."""

    order: int
    page: PageSize
    zones: list[ZoneBlocks]
    rows: InTheWay
    origins: Origins
    problems: list[Problem]

    def can_go(self, row: int) -> bool:
        """Tell if the kernel could free it at all: not what it keeps since boot."""
        return row - len(self.origins) not in (BOOT, OFFLINE, UNREADABLE)

    def name(self, row: int) -> str:
        """Name of an origin, or of what has none."""
        count = len(self.origins)
        return OTHERS[row - count] if row >= count else self.origins.label(row)

    def to_dict(self) -> dict[str, Values]:
        """Origins in the way, as columns: see :class:`InTheWay`."""
        columns = self.rows.to_dict()
        states = [self.zones[i].state for i in self.rows.zone.tolist()]
        return {
            **{key: value for key, value in columns.items() if key not in ("zone", "row")},
            "node": column([state.node for state in states]),
            "zone": column([state.name for state in states]),
            "name": column([self.name(row) for row in self.rows.row.tolist()]),
        }

    def in_short(self) -> str:
        whole = sum(zone.whole + zone.movable for zone in self.zones)
        total = sum(zone.blocks for zone in self.zones)
        return f"order {self.order}: {whole:,} of {total:,} blocks without unmovable pages"


def fragmentation(
    adder: BlockAdder,
    zones: list[Zone],
    states: list[ZoneState],
    lists: list[FreeLists],
    origins: Origins,
    problems: list[Problem],
) -> Fragmentation:
    """Join what was summed up with the zones.

    :param zones: where zones lie, in the same order as *states* and *lists*, which may be empty
    """
    blocks, contents = adder.result()
    pages, page = 1 << adder.order, adder.pagemap.kernel.page
    place = {(z.node, z.name): z for z in zones}
    zone_of = np.full(len(blocks), -1, np.int64)
    start = blocks.block * pages
    for number, state in enumerate(states):
        zone = place.get((state.node, state.name))
        if zone:
            first, last = zone.pfn, zone.pfn + zone.spanned
            zone_of[(start < last) & (start + pages > first) & (zone_of < 0)] = number
    size = blocks.free + blocks.movable + blocks.unmovable
    whole = (zone_of >= 0) & (size == pages)
    of_cma = np.zeros(len(blocks), np.bool_)
    for span in adder.pagemap.cma:
        of_cma |= (start < span.end) & (start + pages > span.start)
    found = []
    for number, state in enumerate(states):
        mine = whole & (zone_of == number)
        free = mine & (blocks.free == pages)
        clear = mine & ~free & (blocks.unmovable == 0)
        sets = (mine, free, clear, clear & of_cma)
        found.append(
            ZoneBlocks(
                state,
                lists[number] if number < len(lists) else None,
                *(int(np.count_nonzero(rows)) for rows in sets),
            )
        )
    first = len(origins) + SLABS
    parts = [contents, _together(contents, origins.origin == OriginKind.CACHE, first)]
    both = InTheWay.concatenate([_in_the_way(blocks, part, zone_of, whole, page) for part in parts])
    rows = both.take(np.lexsort((-both.bytes, both.gives_bytes, -both.gives)))
    return Fragmentation(adder.order, page, found, rows, origins, problems)


def _together(contents: Contents, some: Bool, row: int) -> Contents:
    """Contents of some of the origins as those of one.

    :param some: marks the origins, shape (number of origins,)
    :param row: of the one
    """
    known = contents.row < len(some)
    part = contents.take(known & some[np.where(known, contents.row, 0)])
    block, index = np.unique(part.block, return_inverse=True)
    count = len(block)
    pages, empty = (sum_by(index, values, count) for values in (part.pages, part.empty))
    return Contents(block, np.full(count, row, np.int64), pages, empty)


def _in_the_way(
    blocks: Blocks, contents: Contents, zone_of: Int, whole: Bool, page: PageSize
) -> InTheWay:
    at = np.searchsorted(blocks.block, contents.block)
    contents, at = contents.take(zone_of[at] >= 0), at[zone_of[at] >= 0]
    alone = whole[at] & (contents.pages == blocks.unmovable[at])
    clear = alone & (blocks.movable[at] == 0)
    most = int(contents.row.max(initial=0)) + 1
    key, index = np.unique(zone_of[at] * most + contents.row, return_inverse=True)
    count = len(key)
    size = contents.pages << page.shift

    def summed(values: npt.NDArray[np.integer]) -> Int:
        return sum_by(index, values, count)

    out = InTheWay(
        key // most,
        key % most,
        summed(alone.astype(np.int64)),
        summed(clear.astype(np.int64)),
        summed(size * alone),
        summed(contents.empty * alone),
        summed(np.ones(len(at), np.int64)),
        summed(size),
    )
    return out.take(np.lexsort((-out.bytes, out.gives_bytes, -out.gives)))
