# SPDX-License-Identifier: LGPL-2.1-or-later
"""Blocks, what is in them, and what stands in the way, against the zones' own numbers."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from allocdump.analysis.fragmentation import Blocks, Contents, _in_the_way
from allocdump.analysis.in_the_way import most_in_the_way
from allocdump.arch.base import PageSize
from allocdump.kernel.machine.free_lists import (
    FreeLists,
    fragmentation_index,
    unusable_index,
    with_cma_blocks,
)
from allocdump.kernel.machine.zones import ZoneState
from allocdump.kernel.mm.page_types import PageKind

from .. import cases
from ..dumpdata import core, open_core

QUIET = core("7.2-quiet")


@pytest.mark.parametrize("folder", ["7.2-quiet", "stock-6.1-tmpfs", "6.12-oom"])
def test_lists_of_all_types_are_all_free_blocks(folder: str) -> None:
    """The kernel's own number of free blocks of each order counts all types."""
    found = open_core(core(folder)).fragmentation()
    assert found.problems == []
    for zone in found.zones:
        assert zone.free is not None
        assert zone.free.blocks.sum(axis=0).tolist() == list(zone.state.free_blocks)
        assert not zone.free.more.any()
        assert zone.free.types[:4] == ("unmovable", "movable", "reclaimable", "highatomic")


def test_free_blocks_are_those_of_buddyinfo() -> None:
    """As /proc/buddyinfo printed them a moment before the crash, but for what moved since."""
    found = open_core(QUIET).fragmentation()
    for zone, line in zip(
        found.zones, (QUIET.parent / "buddyinfo").read_text().splitlines(), strict=True
    ):
        printed = [int(word) for word in line.split()[4:]]
        now = zone.state.free_blocks
        pages = [sum(n << order for order, n in enumerate(blocks)) for blocks in (printed, now)]
        assert abs(pages[0] - pages[1]) < 0.01 * pages[1]
        assert sum(abs(a - b) for a, b in zip(printed, now, strict=True)) <= 10


@pytest.mark.parametrize("folder", ["7.2-quiet", "7.3-zombie", "stock-7.3-pipes"])
def test_largest_blocks_that_are_free_are_those_of_the_allocator(folder: str) -> None:
    """Whatever is whole has been merged; and blocks add up to the zones' memory."""
    dump = open_core(core(folder))
    found = dump.fragmentation(10)
    assert [z.whole for z in found.zones] == [z.state.free_blocks[10] for z in found.zones]
    rows = found.rows
    sizes: dict[int, int] = defaultdict(int)
    together = len(found.origins) + 4
    for zone, row, size in zip(
        rows.zone.tolist(), rows.row.tolist(), rows.bytes.tolist(), strict=True
    ):
        sizes[zone] += size if row != together else 0
    slabs = int(rows.bytes[rows.row == together].sum())
    use = dump.attribution()
    assert slabs == int(use.kinds[PageKind.SLAB].sum()) * 4096
    movable = (PageKind.FREE, PageKind.FREE_PCP, PageKind.ANONYMOUS, PageKind.CACHE, PageKind.SHMEM)
    rest = int(use.kinds.sum()) - sum(int(use.kinds[kind].sum()) for kind in movable)
    reserved_holes = sum(sizes.values()) // 4096 - rest
    assert 0 <= reserved_holes < 200  # page frames below 1 MiB that are no memory


def test_what_stands_in_the_way_of_blocks() -> None:
    """Each block looked at for itself, page by page."""
    dump, order = open_core(core("7.3-after")), 4
    found = dump.fragmentation(order)
    inside: dict[int, set[int]] = defaultdict(set)
    pages: dict[int, int] = defaultdict(int)
    caches = dump.pagemap.origins.first
    for part in dump.pagemap:
        frames = part.frames
        cache: dict[int, int] = {}
        for start, of, size in zip(
            part.slabs.pfn.tolist(),
            part.slabs.cache.tolist(),
            part.slabs.order.tolist(),
            strict=True,
        ):
            cache |= dict.fromkeys(range(start, start + (1 << size)), of)
        tail, first = part.loose_tails
        heads = dict(zip(tail.tolist(), first.tolist(), strict=True))
        movable = (
            PageKind.ANONYMOUS,
            PageKind.CACHE,
            PageKind.SHMEM,
            PageKind.FREE,
            PageKind.FREE_PCP,
        )
        for i, kind in enumerate(frames.kind.tolist()):
            pfn = frames.section.pfn + i
            pages[pfn >> order] += 1
            if kind in movable:
                continue
            site = int(frames.site[heads.get(i, int(frames.head[i]))])
            inside[pfn >> order].add(caches + cache[pfn] if pfn in cache else site)
    by_origin: dict[int, int] = defaultdict(int)
    for block, origins in inside.items():
        if pages[block] == 1 << order and len(origins) == 1 and min(origins) >= 0:
            by_origin[min(origins)] += 1
    rows = found.rows
    told = {
        row: gives
        for row, gives in zip(rows.row.tolist(), rows.gives.tolist(), strict=True)
        if gives and row < len(found.origins)
    }
    assert told == by_origin
    assert sum(told.values()) > 100
    sentence = str(most_in_the_way(found)[0])
    assert "would give" in sentence
    assert sentence.startswith("freeing the ")


def test_origins_alone_in_blocks() -> None:
    """Two blocks of four pages: one of an origin and movable pages, one of it and another."""
    blocks = Blocks(
        np.array([5, 6, 7]), np.array([2, 0, 4]), np.array([1, 1, 0]), np.array([1, 3, 0])
    )
    contents = Contents(
        np.array([5, 6, 6]), np.array([1, 1, 2]), np.array([1, 2, 1]), np.array([100, 0, 0])
    )
    zone, whole = np.zeros(3, np.int64), np.ones(3, np.bool_)
    found = _in_the_way(blocks, contents, zone, whole, PageSize(12))
    assert found.row.tolist() == [1, 2]
    assert found.gives.tolist() == [1, 0]
    assert found.gives_whole.tolist() == [0, 0]
    assert found.gives_bytes.tolist() == [4096, 0]
    assert found.gives_empty.tolist() == [100, 0]
    assert found.blocks.tolist() == [2, 1]
    assert found.bytes.tolist() == [3 * 4096, 4096]


def test_indexes_are_those_of_the_kernel() -> None:
    """Worked out by hand: 3 blocks of one page and 2 of four, 11 pages in 5 blocks."""
    zone = ZoneState(0, "Normal", 100, 100, 11, 0, 1, 2, 3, 0, (), (3, 0, 2, 0))
    assert [fragmentation_index(zone, n) for n in range(4)] == [-1000, -1000, -1000, 525]
    assert [unusable_index(zone, n) for n in range(4)] == [0, 272, 272, 1000]
    empty = ZoneState(0, "Normal", 100, 100, 0, 0, 1, 2, 3, 0, (), (0, 0, 0, 0))
    assert (fragmentation_index(empty, 2), unusable_index(empty, 2)) == (0, 1000)


def test_free_blocks_of_cma_are_told_by_the_lists() -> None:
    zones = [cases.zone(1), cases.zone(2)]
    lists = FreeLists(("movable", "cma"), np.array([[1, 2], [3, 4]]), np.zeros(2, np.int64))
    first, second = with_cma_blocks(zones, [lists])
    assert (first.cma_blocks, second.cma_blocks) == ((3, 4), ())
    assert first.blocks_of(0, cma=False) == first.blocks_of(0) - 7
    assert second.blocks_of(0, cma=False) == second.blocks_of(0)
