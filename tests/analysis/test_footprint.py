# SPDX-License-Identifier: LGPL-2.1-or-later
"""What sites really keep, on attributions made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from allocdump.analysis.attribution import Attribution, CacheUse, Tally
from allocdump.analysis.footprint import Footprint, footprint
from allocdump.analysis.totals import ObjectTotals
from allocdump.arch.base import PageSize
from allocdump.kernel.mm.page_types import PageKind
from allocdump.kernel.mm.page_uses import PageUse
from allocdump.kernel.mm.slab import Cache

from ..samples import sites

SITES = sites(
    ("mm/slub.c", 1, "alloc_slab_page", "", 0, 0),
    ("a.c", 10, "objects", "m", 0, 0),
    ("b.c", 20, "objects_and_pages", "m", 0, 0),
    ("mm/percpu-vm.c", 90, "pcpu_alloc_pages", "", 0, 0),
    ("mm/memory.c", 5, "folio_prealloc", "", 0, 0),
)
COUNT = len(SITES)
NONE = COUNT + 2
PAGE = 4096


def attribution() -> Attribution:
    kinds = np.zeros((len(PageKind), COUNT + 3), np.int64)
    kinds[PageKind.FREE, NONE], kinds[PageKind.RESERVED, NONE] = 100, 50
    kinds[PageKind.SLAB, 0] = 8
    kinds[PageKind.IN_USE, 2], kinds[PageKind.IN_USE, 3], kinds[PageKind.IN_USE, NONE] = 5, 6, 3
    kinds[PageKind.ANONYMOUS, 4], kinds[PageKind.ANONYMOUS, NONE] = 7, 1
    use = CacheUse(*np.zeros((12, 2), np.int64))
    use.pages[:], use.capacity[:] = [4, 3], [16, 12]
    use.tagged[:], use.in_use[:] = [9, 6], [9, 8]
    percpu = Tally.zeros(COUNT)
    percpu.bytes[1] = 1000
    uses = np.zeros((PageUse.RING, COUNT + 3), np.int64)
    uses[[PageUse.AREA, PageUse.IDLE_AREA], 2] = 1
    return Attribution(
        page=PageSize(12),
        pages=Tally.zeros(COUNT), inferred=Tally.zeros(COUNT), objects=Tally.zeros(COUNT),
        percpu=percpu, reserved={}, map_known=True, kinds=kinds,
        uses=uses, pools=[], huge=np.zeros(129, np.int64), slab=use,
        caches=[
            Cache(0, "kmalloc-1k", 1024, 1024, 0),
            Cache(1, "inode", 1000, 900, 0, reclaimable=True),
        ],
        strays={}, unknown_slabs=0, kfence=0,
        percpu_vectors=0, page_ext=0, unreadable_pages=0, problems=[],
    )  # fmt: skip


OBJECTS = ObjectTotals(
    site=np.array([1, 2, 1]),
    cache=np.array([0, 0, 1]),
    objects=np.array([6, 3, 6]),
    bytes=np.array([6 * 1024, 3 * 1024, 6 * 1000]),
    used=np.zeros(3, np.int64),
)


def made(cpus: int = 4, found: Any = None) -> Footprint:
    return footprint(SITES, found or attribution(), OBJECTS, cpus)


def test_nothing_is_counted_twice_or_forgotten() -> None:
    assert made().memory() == attribution().kinds.sum() * PAGE


def test_objects_keep_their_slabs() -> None:
    out = made()
    # The first cache has no other objects: all its slabs are divided, 6 to 3.
    assert out.slab[2] == 4 * PAGE * 3 // 9
    in_first = 4 * PAGE - out.slab[2]
    # In the second, two objects may be somebody's: they keep their part.
    in_second = 3 * PAGE * 6 // 8
    assert out.slab[1] == in_first + in_second
    assert out.reclaimable.tolist() == [0, in_second, 0, 0, 0]
    # One slab page is of no known cache.
    assert out.without["slab memory without a site"] == 3 * PAGE * 2 // 8 + PAGE


def test_per_cpu_objects_have_copies() -> None:
    out = made(cpus=4)
    assert out.percpu.tolist() == [0, 4000, 0, 0, 0]
    assert out.pages[3] == 6 * PAGE - 4000


@pytest.mark.parametrize("cpus", [25, 1000])
def test_no_more_per_cpu_memory_than_there_is(cpus: int) -> None:
    out = made(cpus)
    assert (out.percpu[1], out.pages[3]) == (6 * PAGE, 0)
    assert out.memory() == attribution().kinds.sum() * PAGE


def test_user_memory_is_apart() -> None:
    out = made()
    assert (out.user[4], out.kernel[4], out.total[4]) == (7 * PAGE, 0, 7 * PAGE)
    assert out.without["user memory without a site"] == PAGE


def test_pages_and_vmalloc() -> None:
    out = made()
    assert (out.pages[2], out.vmalloc[2]) == (5 * PAGE, 2 * PAGE)
    assert out.pages[0] == 0
    assert out.without["other pages without a site"] == 3 * PAGE
    assert (out.without["free"], out.without["kept since boot"]) == (100 * PAGE, 50 * PAGE)
