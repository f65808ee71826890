# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools of huge pages and areas of CMA, laid into dumps of machines that had none."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drgn import Object

import allocdump
from allocdump.analysis.attribution import HUGE_FREE, HUGE_USED, UNMARKED_LARGE, Attributor
from allocdump.kernel.machine.huge_pools import HugePool, huge_pools
from allocdump.kernel.mm.boot_memory import Span
from allocdump.kernel.mm.cma import cma_areas
from allocdump.kernel.mm.page_types import PageKind
from allocdump.kernel.mm.pages import Before
from allocdump.session import Session

from ...dumpdata import core, open_core, overwrite, place
from ...fakekernel import FakeKernel


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
def test_parts_of_huge_pages(marks: bool) -> None:
    """Two pages of a gigantic page that began before, one of a free huge page of order 1, and
    free pages; compound pages of order 2, as large kmalloc()s are, and 1."""
    kind = PageKind.HUGETLB
    frames: Any = SimpleNamespace(
        kind=np.array([*[kind] * 4, *[PageKind.FREE] * 2, *[PageKind.IN_USE] * 6]),
        head=np.array([0, 0, 2, 2, 4, 5, *[6] * 4, *[10] * 2]),
        order=np.array([0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0]),
        raw={"refcount": np.zeros(12, np.int32)},
        before=Before(2, 18, counted=True),
    )
    self: Any = SimpleNamespace(_marks_large=marks)
    assert Attributor._huge_use(self, frames).tolist() == [
        *[HUGE_USED + 18] * 2,
        *[HUGE_FREE + 1] * 2,
        -1,
        -1,
        *[-1 if marks else UNMARKED_LARGE] * 4,
        *[-1] * 2,
    ]


def areas_of_one_range(start: int, count: int) -> list[Span]:
    """As ``struct cma`` was before Linux 6.15."""
    made = FakeKernel()
    prog = made.prog
    name = prog.array_type(prog.int_type("char", 1, True), 64)
    type_ = made.struct("cma", base_pfn=made.u64, count=made.u64, bitmap=made.u64, name=name)
    made.write(0x1000, struct.pack("<3Q64s", start, count, 0, b"reserved"))
    made.objects["cma_areas"] = Object(prog, prog.array_type(type_, 1), address=0x1000)
    made.objects["cma_area_count"] = Object(prog, made.u32, 1)
    return cma_areas(prog)


def test_free_pages_of_cma() -> None:
    """Of an area in one range: in free blocks of the largest order, and of a smaller one."""
    dump = open_core(core("stock-6.12-quiet"))
    small = next(
        int(part.frames.section.pfn + i)
        for part in dump.pagemap
        for i in np.flatnonzero((part.frames.kind == PageKind.FREE) & part.frames.is_head)
        if part.frames.order[i] == 3
    )
    large = next(int(b[0]) for b in dump.pagemap.frames.free_blocks if len(b))
    for start, count in ((small, 8), (large, 1024)):
        spans = areas_of_one_range(start, count)
        assert spans == [Span(start, start + count, "reserved")]
        made = Session(dump.source)
        made.pagemap.cma = spans
        free = {path[-1]: node.bytes for path, node in made.usage().walk()}
        assert free["of CMA areas"] == count * 4096
        assert free["of CMA areas"] + free["of all others"] == free["buddy allocator"]
