# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools of huge pages and areas of CMA, laid into dumps of machines that had none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drgn import Object

import allocdump
from allocdump.analysis.attribution import (
    CMA_FREE,
    HUGE_FREE,
    HUGE_USED,
    UNMARKED_LARGE,
    Attributor,
)
from allocdump.kernel.machine.huge_pools import HugePool, huge_pools
from allocdump.kernel.mm.boot_memory import Span
from allocdump.kernel.mm.cma import cma_areas
from allocdump.kernel.mm.page_types import PageKind
from allocdump.kernel.mm.pages import Before
from allocdump.session import Session

from ...dumpdata import core, open_core, overwrite, place


def put(dump: Session, thing: Object, value: int) -> None:
    overwrite(dump.prog, place(thing), value.to_bytes(thing.type_.size or 8, "little"))


@pytest.mark.parametrize("folder", ["stock-6.1-tmpfs", "stock-6.12-quiet", "stock-7.3-pipes"])
def test_pools_of_huge_pages(folder: str) -> None:
    dump = allocdump.open(core(folder))
    assert huge_pools(dump.prog) == []
    state = dump.prog["hstates"][0]
    for name, value in (("nr", 6), ("free", 4), ("resv", 3), ("surplus", 1)):
        put(dump, state.member_(f"{name}_huge_pages"), value)
    assert huge_pools(dump.prog) == [HugePool(9, 6, 4, 3, 1)]
    assert huge_pools(open_core(core("7.3-tiny")).prog) == []


def test_areas_of_cma() -> None:
    """Of several ranges each, since Linux 6.15."""
    dump = allocdump.open(core("stock-7.3-pipes"))
    assert cma_areas(dump.prog) == []
    area = dump.prog["cma_areas"][0]
    put(dump, dump.prog["cma_area_count"], 1)
    put(dump, area.nranges, 2)
    for start, part in ((1024, area.ranges[0]), (2048, area.ranges[1])):
        put(dump, part.base_pfn, start)
        put(dump, part.count, 512)
    spans = [(span.start, span.end) for span in cma_areas(dump.prog)]
    assert spans == [(1024, 1536), (2048, 2560)]
    assert dump.pagemap.cma == cma_areas(dump.prog)
    assert cma_areas(open_core(core("stock-6.12-quiet")).prog) == []


@pytest.mark.parametrize("marks", [True, False])
def test_parts_of_huge_pages_and_free_pages_of_cma(marks: bool) -> None:
    """Two pages of a gigantic page that began before, one of a free huge page of order 1, a
    free page of CMA and one of others; compound pages of order 2, as large kmalloc()s are, and 1.
    """
    kind = PageKind.HUGETLB
    frames: Any = SimpleNamespace(
        kind=np.array([*[kind] * 4, *[PageKind.FREE] * 2, *[PageKind.IN_USE] * 6]),
        head=np.array([0, 0, 2, 2, 4, 5, *[6] * 4, *[10] * 2]),
        order=np.array([0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0]),
        raw={"refcount": np.zeros(12, np.int32)},
        pfn=np.arange(10, 22),
        before=Before(2, 18, counted=True),
    )
    pagemap = SimpleNamespace(cma=[Span(14, 15, "area")])
    self: Any = SimpleNamespace(pagemap=pagemap, _marks_large=marks)
    self._in_cma = lambda pfn: Attributor._in_cma(self, pfn)
    assert Attributor._use(self, frames).tolist() == [
        *[HUGE_USED + 18] * 2,
        *[HUGE_FREE + 1] * 2,
        CMA_FREE,
        -1,
        *[-1 if marks else UNMARKED_LARGE] * 4,
        *[-1] * 2,
    ]
