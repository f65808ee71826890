# SPDX-License-Identifier: LGPL-2.1-or-later
"""Zones against their watermarks, and how fragmented their free memory is.

Mirrors ``struct zone`` in ``include/linux/mmzone.h``, and what ``mm/vmstat.c`` prints of it
in /proc/zoneinfo and /proc/buddyinfo.
"""

from __future__ import annotations

from dataclasses import dataclass

from drgn import Object

from ...problems import Problem
from ...text import printable
from ..kernel import Kernel
from ..mm.page_lists import populated_zones
from .vmstat import VmStat


@dataclass(frozen=True)
class ZoneState:
    """A populated zone; numbers of pages."""

    node: int
    name: str
    present: int
    managed: int
    """Those that the buddy allocator was given."""
    free: int
    boost: int
    """By how much the watermarks are raised for now."""
    min: int
    low: int
    high: int
    """The boost included."""
    highatomic: int
    """Reserved for atomic allocations of higher orders."""
    lowmem_reserve: tuple[int, ...]
    """Pages kept from allocations that could come from a higher zone, by that zone."""
    free_blocks: tuple[int, ...]
    """Free blocks of the buddy allocator by order; those on per-CPU lists are not among them."""
    free_cma: int = 0
    """The part of *free* that is CMA's: of use to movable allocations only."""
    pcp: int | None = None
    """Pages on the CPUs' own free lists; none of *free*."""
    cma_blocks: tuple[int, ...] = ()
    """Those of *free_blocks* that are CMA's; empty if nothing tells."""

    def blocks_of(self, order: int, cma: bool = True) -> int:
        """Free blocks of an order, or that would have to be split for it.

        :param cma: the request takes CMA's pages, too
        """
        return sum(self.free_blocks[order:]) - (0 if cma else sum(self.cma_blocks[order:]))


def zone_states(kernel: Kernel) -> tuple[list[ZoneState], list[Problem]]:
    """All populated zones, and what was unreadable."""
    stat = VmStat(kernel)
    walked = populated_zones(kernel.prog, lambda zone: _state(zone, stat))
    return walked.found, walked.problems


def _state(zone: Object, stat: VmStat) -> ZoneState:
    prog, boost = zone.prog_, zone.watermark_boost.value_()
    marks = [
        zone._watermark[prog.constant(f"WMARK_{name}").value_()].value_() + boost
        for name in ("MIN", "LOW", "HIGH")
    ]
    blocks = tuple(area.nr_free.value_() for area in zone.free_area)
    free = stat.of_zone(zone, "NR_FREE_PAGES")
    return ZoneState(
        node=zone.zone_pgdat.node_id.value_(),
        name=printable(prog.read_c_string(zone.name, max_size=32)),
        present=zone.present_pages.value_(),
        managed=zone.managed_pages.counter.value_(),
        free=sum(n << order for order, n in enumerate(blocks)) if free is None else free,
        boost=boost,
        min=marks[0],
        low=marks[1],
        high=marks[2],
        highatomic=zone.nr_reserved_highatomic.value_(),
        lowmem_reserve=tuple(pages.value_() for pages in zone.lowmem_reserve),
        free_blocks=blocks,
        free_cma=stat.of_zone(zone, "NR_FREE_CMA_PAGES") or 0,
        pcp=stat.pcp_pages([zone]),
    )
