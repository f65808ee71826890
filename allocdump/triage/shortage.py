# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kind of memory that was short when the machine died, if any."""

from __future__ import annotations

from enum import StrEnum

from ..analysis.footprint import PAGE
from ..kernel.machine.oom import Constraint
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


def shortage(case: Evidence) -> Shortage:
    """Judge by the fatal event in the kernel log, else by the zones.

    Memory that was free, but of no use, must be worth mentioning: ``__alloc_pages_slowpath()``
    fails for want of memory when a little is left above a watermark, too, as in ZONE_DMA.
    """
    event = case.fatal_event
    if event is None:
        return Shortage.MACHINE if exhausted(case.zones) else Shortage.NONE
    if event.constraint == Constraint.MEMCG:
        return Shortage.CGROUP
    if event.order > 0 and too_fragmented(case.zones, event.order) and _notable(case, case.zones):
        return Shortage.FRAGMENTED
    limited = event.constraint in (Constraint.CPUSET, Constraint.MEMORY_POLICY)
    if limited or _notable(case, with_room(case.zones, event.order)):
        return Shortage.ELSEWHERE
    return Shortage.MACHINE


def _notable(case: Evidence, zones: list[ZoneState]) -> bool:
    return case.share(sum(zone.free for zone in zones) * PAGE) >= NOTABLE


def machine_short(case: Evidence) -> bool:
    """Tell if more memory would have helped: not against a cgroup's limit or fragmentation."""
    return shortage(case) in (Shortage.MACHINE, Shortage.ELSEWHERE)


def reserve(zone: ZoneState) -> int:
    """Pages of a zone that ordinary allocations leave alone: ``__zone_watermark_ok()``."""
    return max(zone.lowmem_reserve, default=0) + zone.highatomic


def exhausted(zones: list[ZoneState]) -> bool:
    """No zone has as much free as must remain for an ordinary allocation."""
    return bool(zones) and all(zone.free <= zone.min + reserve(zone) for zone in zones)


def with_room(zones: list[ZoneState], order: int = 0) -> list[ZoneState]:
    """Zones that had memory to spare, in pieces of an order."""
    return [z for z in zones if z.free > z.high + reserve(z) and z.blocks_of(max(order, 0))]


def too_fragmented(zones: list[ZoneState], order: int) -> bool:
    """Memory was there for an allocation of an order, but not in one piece."""
    enough = [z for z in zones if z.free - (1 << order) > z.min + reserve(z)]
    return bool(enough) and not any(zone.blocks_of(order) for zone in enough)


def in_list(node: int, nodes: str) -> bool:
    """Tell if a node is in a list as the kernel prints it, ``0-1,3``. An empty list is any node."""
    if not nodes:
        return True
    for part in nodes.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and int(first) <= node <= int(last if last.isdecimal() else first):
            return True
    return False
