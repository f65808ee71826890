# SPDX-License-Identifier: LGPL-2.1-or-later
"""Free pages on per-CPU lists.

Mirrors ``struct per_cpu_pages`` in ``include/linux/mmzone.h`` and ``pindex_to_order()`` in
``mm/page_alloc.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from drgn import Object, Program, offsetof, sizeof

from ...arrays import U64
from ...problems import Code, Problem
from ..chains import list_links
from ..kernel import Kernel
from ..walk import Walked, structure, walk

_MIGRATE_PCPTYPES = 3
_PAGE_ALLOC_COSTLY_ORDER = 3
_LOW_ORDER_LISTS = _MIGRATE_PCPTYPES * (_PAGE_ALLOC_COSTLY_ORDER + 1)

# Lists longer than this are damaged; pcp->high is far below.
_MAX_STEPS = 1 << 16
# So much longer than pcp->count says a list may be that is just being changed.
_SLACK = 1 << 10

_ZONES = structure("zones", "zone", code=Code.UNREADABLE, many=True)
_PCP_LISTS = structure(
    "per-CPU lists of free pages",
    "per-CPU list of free pages",
    "per-CPU lists of free pages",
    many=True,
    affects="pages on them count as in use",
)

T = TypeVar("T")


def populated_zones(prog: Program, convert: Callable[[Object], T | None]) -> Walked[T]:
    """All zones with memory, of all nodes.

    :param convert: reads a ``struct zone *``
    """

    def populated(zone: Object) -> T | None:
        return convert(zone) if zone.present_pages.value_() else None

    return walk(prog, _ZONES, lambda: _zones(prog), populated)


def _zones(prog: Program) -> Iterator[Object]:
    """Steps through all zones, as ``struct zone *``."""
    try:
        nodes = [node.read_() for node in prog["node_data"]]
    except LookupError:
        nodes = [prog["contig_page_data"].address_of_()]
    for node in nodes:
        if node:
            for zone in node.node_zones:
                yield zone.address_of_()


def pcp_blocks(
    kernel: Kernel, pfn_of: Callable[[U64], npt.NDArray[np.int64]]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], list[Problem]]:
    """Free blocks on all per-CPU lists: page frame numbers and orders; what was unreadable.

    All lists are walked at once, one page of each per step. In a running kernel a walk
    may stray into another list, so that what is found has yet to be checked.

    :param pfn_of: page frame numbers of struct pages, -1 for what is none
    """
    prog, memory = kernel.prog, kernel.memory
    type_ = prog.type("struct per_cpu_pages")
    lists = type_.member("lists")
    count = lists.type.length or 0
    order_of = np.array([_order(kernel, i) for i in range(count)], np.uint8)
    offsets = kernel.cpus.offsets
    pagesets = populated_zones(prog, lambda zone: int(zone.per_cpu_pageset.value_()))
    areas = (np.array(pagesets.found, np.uint64)[:, None] + offsets).ravel()
    counts, _ = memory.u32(areas + np.uint64(offsetof(type_, "count")))
    steps = min(int(counts.max(initial=0)) + _SLACK, _MAX_STEPS)
    step = np.arange(count, dtype=np.uint64) * np.uint64(sizeof(prog.type("struct list_head")))
    head = (areas[:, None] + np.uint64(lists.offset) + step).ravel()
    order = np.tile(order_of, len(areas))
    lru = np.uint64(offsetof(prog.type("struct page"), "lru"))
    pages: list[U64] = [np.zeros(0, np.uint64)]
    orders: list[npt.NDArray[np.uint8]] = [np.zeros(0, np.uint8)]
    problems = pagesets.problems
    for rows, links in list_links(memory, head, steps, _PCP_LISTS, problems):
        pages.append(links)
        orders.append(order[rows])
    pfn = pfn_of(np.concatenate(pages) - lru)
    return pfn[pfn >= 0], np.concatenate(orders)[pfn >= 0], problems


def _order(kernel: Kernel, pindex: int) -> int:
    if pindex < _LOW_ORDER_LISTS:
        return pindex // _MIGRATE_PCPTYPES
    # With transparent huge pages, the last lists are of blocks that a table of pages maps.
    return kernel.page.table_order
