# SPDX-License-Identifier: LGPL-2.1-or-later
"""Free blocks by zone, migrate type and order, and what the kernel makes of their numbers.

Mirrors what ``mm/vmstat.c`` prints in /proc/pagetypeinfo, and in ``extfrag_index`` and
``unusable_index`` of debugfs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
from drgn import Object, Program, offsetof, sizeof

from ...arrays import Int
from ...problems import Code, Problem
from ..chains import list_links
from ..kernel import Kernel
from ..mm.page_lists import populated_zones
from ..walk import structure
from .zones import ZoneState

_MOST = 100_000
"""Blocks of a list that are counted, as the kernel does."""
_LISTS = structure(
    "lists of free blocks",
    "list of free blocks",
    "lists of free blocks",
    code=Code.DAMAGED,
    many=True,
    affects="their migrate types are not known",
)


@dataclass(frozen=True)
class FreeLists:
    """Free blocks of one zone."""

    types: tuple[str, ...]
    """Migrate types, as /proc/pagetypeinfo names them."""
    blocks: Int
    """Free blocks: shape (types, orders)."""
    more: Int
    """Blocks of orders of which a list is too long to be followed to its end: shape (orders,)."""


def free_lists(kernel: Kernel) -> tuple[list[FreeLists], list[Problem]]:
    """The free lists of all populated zones, in the order of :func:`.zones.zone_states`."""
    prog = kernel.prog
    zones = populated_zones(prog, lambda zone: int(zone.value_()))
    problems = list(zones.problems)
    if not zones.found:
        return [], problems
    types = migrate_types(prog)
    first = Object(prog, "struct zone *", zones.found[0])
    orders = len(first.free_area)
    area, head = prog.type("struct free_area"), prog.type("struct list_head")
    start = offsetof(prog.type("struct zone"), "free_area")
    order = np.arange(orders, dtype=np.uint64) * np.uint64(sizeof(area))
    step = np.arange(len(types), dtype=np.uint64) * np.uint64(sizeof(head))
    step = step + np.uint64(offsetof(area, "free_list"))
    bases = np.array(zones.found, np.uint64) + np.uint64(start)
    heads = (bases[:, None, None] + step[None, :, None] + order[None, None, :]).ravel()
    counts = np.zeros(len(heads), np.int64)
    for rows, _ in list_links(kernel.memory, heads, _MOST, _LISTS, problems):
        np.add.at(counts, rows, 1)
    blocks = counts.reshape(len(bases), len(types), orders)
    places = (bases[:, None] + order[None, :] + np.uint64(offsetof(area, "nr_free"))).ravel()
    told, _ = kernel.memory.words(places)
    more = np.maximum(told.view(np.int64).reshape(len(bases), orders) - blocks.sum(axis=1), 0)
    return [FreeLists(tuple(types), blocks[i], more[i]) for i in range(len(bases))], problems


def with_cma_blocks(zones: list[ZoneState], lists: list[FreeLists]) -> list[ZoneState]:
    """Zones that know how many of their free blocks are CMA's.

    :param lists: theirs, in the same order; or none
    """
    found = []
    for zone, free in zip_longest(zones, lists[: len(zones)]):
        of_cma = free.blocks[free.types.index("cma")] if free and "cma" in free.types else ()
        found.append(replace(zone, cma_blocks=tuple(map(int, of_cma))))
    return found


def migrate_types(prog: Program) -> list[str]:
    """Names of the migrate types, by their numbers."""
    try:
        enumerators = prog.type("enum migratetype").enumerators or ()
    except LookupError:
        enumerators = ()
    names: dict[int, str] = {}
    last = 0
    for name, value in enumerators:
        last = max(last, value)
        # MIGRATE_HIGHATOMIC is also the number of types before it, whose name comes first.
        if not name.startswith("__"):
            names[value] = name.removeprefix("MIGRATE_").lower()
    # The last one is their number.
    return [names.get(number, str(number)) for number in range(last)]


def fragmentation_index(zone: ZoneState, order: int) -> int:
    """``__fragmentation_index()``, in thousandths: 0 is a lack of memory, 1000 fragmentation;
    -1000 if a request of that order would not fail.
    """
    total = sum(zone.free_blocks)
    if not total:
        return 0
    if zone.blocks_of(order):
        return -1000
    free = _free(zone)
    return 1000 - (1000 + free * 1000 // (1 << order)) // total


def unusable_index(zone: ZoneState, order: int) -> int:
    """``unusable_free_index()``: thousandths of the free memory that is in smaller blocks."""
    free = _free(zone)
    if not free:
        return 1000
    suitable = sum(n << i for i, n in enumerate(zone.free_blocks) if i >= order)
    return (free - suitable) * 1000 // free


def _free(zone: ZoneState) -> int:
    return sum(n << i for i, n in enumerate(zone.free_blocks))
