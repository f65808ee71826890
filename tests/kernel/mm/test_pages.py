# SPDX-License-Identifier: LGPL-2.1-or-later
"""Free blocks, compound pages, and tails of what is not compound."""

from __future__ import annotations

import numpy as np
import pytest

from allocdump.kernel.mm.page_types import PageKind
from allocdump.kernel.mm.pages import Frames, _extents, loose_tails
from allocdump.kernel.mm.sections import MemorySection
from allocdump.kernel.tags.references import EMPTY, NONE, STRAY, PageFlagRefs, SiteIndex

from ...dumpdata import core, open_core


def frames(layout: str, pfn: int = 0) -> Frames:
    """From one character a page: H tagged head, . loose tail, U untagged in use, F free."""
    count = len(layout)
    raw = np.zeros(count, [("refcount", "i4")])
    raw["refcount"] = [c in "HU" for c in layout]
    kind = np.array([PageKind.FREE if c == "F" else PageKind.IN_USE for c in layout], np.uint8)
    site = np.array([0 if c == "H" else NONE for c in layout], np.int32)
    index = np.arange(count, dtype=np.int32)
    loose = np.array([c in ".U" for c in layout])
    zeros = np.zeros(count, np.uint8)
    return Frames(
        MemorySection(pfn, count, 0, 0),
        raw,
        kind,
        index,
        zeros,
        site,
        np.zeros(count, np.uint64),
        loose,
    )


def test_anonymous_memory_that_no_task_maps() -> None:
    """A page, and all of a folio: its first tail counts its mappings, less one."""
    found = frames("HHH...H...")
    found.raw = np.zeros(10, [("page_type", "u4"), ("large_mapcount", "i4")])
    found.raw["page_type"][0] = 0xFFFF_FFFF
    found.raw["large_mapcount"][[3, 7]] = -1, 5
    found.kind[:] = PageKind.ANONYMOUS
    found.head = np.array([0, 1, 2, 2, 2, 2, 6, 6, 6, 6], np.int32)
    found.order = np.array([0, 0, 2, 0, 0, 0, 2, 0, 0, 0], np.uint8)
    assert np.flatnonzero(found.is_unmapped).tolist() == [0, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("layout", "pfn", "tails"),
    [
        ("H.......", 0, 7),
        ("H...H...", 0, 6),
        ("H.......", 4, 3),
        ("H.......", 1, 0),
        ("H.....", 0, 3),
        ("H..F", 0, 1),
        ("H..U....", 0, 1),
        ("U...", 0, 0),
        ("HHHH", 0, 0),
        ("H", 0, 0),
    ],
)
def test_loose_tails(layout: str, pfn: int, tails: int) -> None:
    """Alignment and what follows tell the order."""
    found, first = loose_tails(frames(layout, pfn))
    assert len(found) == tails
    assert all(layout[i] == "." for i in found)
    assert all(layout[i] == "H" for i in first)


@pytest.mark.parametrize(("most", "tails"), [(1, 0), (3, 1), (4, 3), (100, 7)])
def test_the_counter_bounds_the_order(most: int, tails: int) -> None:
    """What follows may be on its way to or from a free list."""
    found, _ = loose_tails(frames("H......."), np.array([most]))
    assert len(found) == tails


def test_sites_without_a_counter_have_no_bound() -> None:
    found, _ = loose_tails(frames("H......."), np.zeros(0, np.int64))
    assert len(found) == 7


def test_blocks_that_compaction_took_are_no_tails() -> None:
    """A folio has moved into the first page of a free block; the rest waits on lists."""
    dump = open_core(core("arm64-oom"))
    site = int(np.flatnonzero(dump.sites.function == "compaction_alloc")[0])
    (part,) = (p for p in dump.pagemap if (p.frames.site == site).any())
    head = int(np.flatnonzero(part.frames.site == site)[0])
    loose = part.frames.loose[head + 1 : head + 128]
    listed = [(1 << order) - 1 for order in range(7)]
    assert np.flatnonzero(~loose).tolist() == listed
    # No counter is asked here.
    _, first = loose_tails(part.frames)
    assert head not in first


def test_extents() -> None:
    order = np.zeros(16, np.uint8)
    order[[0, 8]] = 2, 1
    head, tail = _extents(order)
    assert head.tolist() == [0, 0, 0, 0, 4, 5, 6, 7, 8, 8, 10, 11, 12, 13, 14, 15]
    assert np.flatnonzero(tail).tolist() == [1, 2, 3, 9]


def test_an_extent_that_reaches_beyond_the_end() -> None:
    order = np.array([0, 0, 30, 0], np.uint8)
    head, tail = _extents(order)
    assert head.tolist() == [0, 1, 2, 2]
    assert tail.tolist() == [False, False, False, True]


def test_site_index() -> None:
    index = SiteIndex(np.array([400, 100, 300], np.uint64))
    refs = np.array([100, 300, 400, 0, 1, 200, 2**64 - 1], np.uint64)
    assert index.rows(refs).tolist() == [1, 2, 0, NONE, EMPTY, STRAY, STRAY]
    assert SiteIndex(np.zeros(0, np.uint64)).rows(refs[3:5]).tolist() == [NONE, NONE]


def test_page_flag_references() -> None:
    """Index 2 is the kernel's first tag; past the kernel's, modules follow."""
    kernel, module = -0x7E000000, -0x3FFF0000
    refs = PageFlagRefs(20, 0xFFF, kernel, 10, module, 40)
    flags = np.array([0, 1, 2, 11, 12, 14], np.uint64) << np.uint64(20) | np.uint64(0x55)
    assert refs.addresses(flags).tolist() == [
        0, 1, kernel + 2**64, kernel + 360 + 2**64, module + 2**64, module + 80 + 2**64,
    ]  # fmt: skip
