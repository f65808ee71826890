# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's own counters of memory, as in /proc/vmstat, with per-CPU parts folded in.

Mirrors ``mm/vmstat.c`` and ``include/linux/vmstat.h``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from drgn import Object, TypeKind

from ...arrays import U64
from ..kernel import Kernel
from ..mm.page_lists import populated_zones
from ..walk import ReadErrors, as_found


class VmStat:
    """Sums over all zones and nodes; None for what this kernel lacks or the dump lost."""

    def __init__(self, kernel: Kernel) -> None:
        self.prog = prog = kernel.prog
        self._zones: list[Object] = populated_zones(prog, as_found).found
        self._offsets = _per_cpu_offsets(kernel)

    def zone(self, item: str) -> int | None:
        """A ``zone_stat_item``: ``NR_FREE_PAGES`` ..."""
        return self._sum("vm_zone_stat", item, self._zones, "per_cpu_zonestats", "vm_stat_diff")

    def of_zone(self, zone: Object, item: str) -> int | None:
        """A ``zone_stat_item`` of one ``struct zone *``."""
        try:
            index = self.prog.constant(item).value_()
            total = zone.vm_stat[index].counter.value_()
            for part in self._per_cpu(zone.per_cpu_zonestats):
                total += part.vm_stat_diff[index].value_()
            return int(total)
        except ReadErrors:
            return None

    def node(self, item: str) -> int | None:
        """A ``node_stat_item``: ``NR_ANON_MAPPED``, ``NR_FILE_PAGES`` ..."""
        nodes = {z.zone_pgdat.value_(): z.zone_pgdat for z in self._zones}
        return self._sum(
            "vm_node_stat", item, list(nodes.values()), "per_cpu_nodestats", "vm_node_stat_diff"
        )

    def pcp_pages(self, zones: list[Object] | None = None) -> int | None:
        """Pages on per-CPU free lists, by the lists' own counts.

        :param zones: each a ``struct zone *``; None is all
        """
        try:
            return int(
                sum(
                    pageset.count.value_()
                    for zone in (self._zones if zones is None else zones)
                    for pageset in self._per_cpu(zone.per_cpu_pageset)
                )
            )
        except ReadErrors:
            return None

    def present(self) -> int:
        """Pages of all zones, holes excluded (``present_pages``)."""
        return int(sum(zone.present_pages.value_() for zone in self._zones))

    def variable(self, name: str) -> int | None:
        """A global ``unsigned long`` or ``atomic_long_t``."""
        try:
            found = self.prog[name]
            if found.type_.kind != TypeKind.INT:
                found = found.counter
            return int(found.value_())
        except ReadErrors:
            return None

    def _sum(
        self, array: str, item: str, owners: list[Object], pointer: str, diff: str
    ) -> int | None:
        try:
            index = self.prog.constant(item).value_()
            total = self.prog[array][index].counter.value_()
            for owner in owners:
                for part in self._per_cpu(owner.member_(pointer)):
                    total += part.member_(diff)[index].value_()
            return int(total)
        except ReadErrors:
            return None

    def _per_cpu(self, pointer: Object) -> Iterator[Object]:
        if self._offsets is None:
            raise LookupError("per-CPU memory is not to be found")
        base = np.uint64(pointer.value_())
        for address in (base + self._offsets).tolist():
            yield Object(self.prog, pointer.type_.type, address=address)


def _per_cpu_offsets(kernel: Kernel) -> U64 | None:
    """None if they are unreadable: then nothing tells what CPUs have counted themselves."""
    try:
        return kernel.cpus.offsets
    except ReadErrors:
        return None
