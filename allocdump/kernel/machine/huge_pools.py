# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools of huge pages, by the kernel's own counters.

Mirrors ``struct hstate`` in ``include/linux/hugetlb.h``; /proc/meminfo prints that of one size.
"""

from __future__ import annotations

from dataclasses import dataclass

from drgn import Program

from ..walk import ReadErrors

_MOST = 16
"""HUGE_MAX_HSTATE is at most 5."""


@dataclass(frozen=True)
class HugePool:
    """Huge pages of one size; numbers of these."""

    order: int
    """Logarithm of the number of pages in each."""
    total: int
    free: int
    reserved: int
    """Those of *free* that are promised to a mapping or a file system."""
    surplus: int
    """Those of *total* that are there for the time being, over the size that was set."""


def huge_pools(prog: Program) -> list[HugePool]:
    """All pools with pages, as far as they are readable; none without CONFIG_HUGETLB_PAGE."""
    try:
        states, count = prog["hstates"], int(prog["hugetlb_max_hstate"].value_())
        found = []
        for i in range(min(count, _MOST)):
            state = states[i].read_()
            found.append(
                HugePool(
                    int(state.order.value_()),
                    int(state.nr_huge_pages.value_()),
                    int(state.free_huge_pages.value_()),
                    int(state.resv_huge_pages.value_()),
                    int(state.surplus_huge_pages.value_()),
                )
            )
    except ReadErrors:
        return []
    return [pool for pool in found if pool.total and pool.order < 64]
