# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kind of memory that was short when the machine died, if any."""

from __future__ import annotations

from enum import StrEnum

from ..kernel.machine.oom import AllocationFailure, Constraint, OomEvent
from ..kernel.machine.zones import ZoneState
from .evidence import Evidence
from .thresholds import NOTABLE


class Shortage(StrEnum):
    """Kinds of shortage."""

    NONE = ""
    MACHINE = "the machine was out of memory"
    ELSEWHERE = "there was memory, but not where it was allowed"
    CGROUP = "a memory cgroup was at its limit"
    FRAGMENTED = "free memory was too fragmented"

    @property
    def now(self) -> str:
        """The same of a machine that goes on."""
        return self.replace(" was ", " is ")


class Standing(StrEnum):
    """A zone against its watermarks, for a request."""

    EXHAUSTED = "exhausted"
    CMA = "only CMA free"
    ATOMIC = "only kept for atomic"
    LOWMEM = "kept by lowmem_reserve"
    KEPT = "all kept"
    """By several of these together."""
    LOW = "low"
    ENOUGH = "enough"


def shortage(case: Evidence) -> Shortage:
    """Judge by the fatal event in the kernel log, else by the zones.

    Memory that was free, but of no use, must be worth mentioning: ``__alloc_pages_slowpath()``
    fails for want of memory when a little is left above a watermark, too, as in ZONE_DMA.
    """
    event = case.fatal_event
    if event is None:
        return Shortage.MACHINE if exhausted(case.zones) else Shortage.NONE
    cma = takes_cma(event)
    if event.constraint == Constraint.MEMCG:
        return Shortage.CGROUP
    if (
        event.order > 0
        and too_fragmented(case.zones, event.order, cma)
        and _notable(case, case.zones)
    ):
        return Shortage.FRAGMENTED
    limited = event.constraint in (Constraint.CPUSET, Constraint.MEMORY_POLICY)
    if limited or _notable(case, with_room(case.zones, event.order, cma)):
        return Shortage.ELSEWHERE
    return Shortage.MACHINE


def _notable(case: Evidence, zones: list[ZoneState]) -> bool:
    return case.share(sum(zone.free for zone in zones) * case.page.bytes) >= NOTABLE


def takes_cma(event: OomEvent | AllocationFailure | None) -> bool:
    """Tell if a request may use CMA's pages: a movable one, ``gfp_to_alloc_flags_cma()``."""
    return event is not None and "MOVABLE" in event.gfp_mask


def machine_short(case: Evidence) -> bool:
    """Tell if more memory would have helped: not against a cgroup's limit or fragmentation."""
    return shortage(case) in (Shortage.MACHINE, Shortage.ELSEWHERE)


def reserve(zone: ZoneState) -> int:
    """Pages of a zone that ordinary allocations leave alone: ``__zone_watermark_ok()``."""
    return max(zone.lowmem_reserve, default=0) + zone.highatomic


def unusable(zone: ZoneState, cma: bool) -> int:
    """Pages of a zone that a request leaves alone: ``__zone_watermark_unusable_free()``.

    :param cma: the request takes CMA's pages, too
    """
    return reserve(zone) + (0 if cma else zone.free_cma)


def exhausted(zones: list[ZoneState], cma: bool = False) -> bool:
    """No zone has as much free as must remain for an ordinary allocation."""
    return bool(zones) and all(zone.free <= zone.min + unusable(zone, cma) for zone in zones)


def with_room(zones: list[ZoneState], order: int = 0, cma: bool = False) -> list[ZoneState]:
    """Zones that had memory to spare, in pieces of an order."""
    return [
        z for z in zones if z.free > z.high + unusable(z, cma) and z.blocks_of(max(order, 0), cma)
    ]


def too_fragmented(zones: list[ZoneState], order: int, cma: bool = False) -> bool:
    """Memory was there for an allocation of an order, but not in one piece."""
    enough = [z for z in zones if z.free - (1 << order) > z.min + unusable(z, cma)]
    return bool(enough) and not any(zone.blocks_of(order, cma) for zone in enough)


def wanted_order(case: Evidence) -> int:
    """The order of the smallest piece that could not be had for want of one, above 0; else 0."""
    event = wanted(case)
    return 0 if event is None else event.order


def wanted(case: Evidence) -> OomEvent | AllocationFailure | None:
    """The request for the smallest piece that could not be had for want of one, above order 0."""
    failed = [case.fatal_event] if case.fatal_event else case.failures
    for_want = [
        one
        for one in failed
        if one.order > 0 and too_fragmented(case.zones, one.order, takes_cma(one))
    ]
    return min(for_want, key=lambda one: one.order, default=None)


def standing(zone: ZoneState, cma: bool) -> Standing:
    """A zone against its watermarks, for a request that may use CMA or not.

    Only a zone without free memory is exhausted; what is free in another may be kept from the
    request.
    """
    if zone.free <= zone.min:
        return Standing.EXHAUSTED
    for kept, by in (
        (0 if cma else zone.free_cma, Standing.CMA),
        (zone.highatomic, Standing.ATOMIC),
        (max(zone.lowmem_reserve, default=0), Standing.LOWMEM),
    ):
        if kept and zone.free <= zone.min + kept:
            return by
    if zone.free <= zone.min + unusable(zone, cma):
        return Standing.KEPT
    return Standing.LOW if zone.free <= zone.low + unusable(zone, cma) else Standing.ENOUGH


def in_list(node: int, nodes: str) -> bool:
    """Tell if a node is in a list as the kernel prints it, ``0-1,3``. An empty list is any node."""
    if not nodes:
        return True
    for part in nodes.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and int(first) <= node <= int(last if last.isdecimal() else first):
            return True
    return False
