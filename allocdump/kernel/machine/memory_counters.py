# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's own counters of its memory, by class.

Mirrors ``mm/vmstat.c``, ``fs/proc/meminfo.c`` and ``mm/show_mem.c``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...arch.base import PageSize
from .huge_pools import HugePool
from .vmstat import VmStat


@dataclass(frozen=True)
class MemoryCounters:
    """Pages by the kernel's own counters; None where it has none, or they are unreadable."""

    present: int | None = None
    free: int | None = None
    pcp: int | None = None
    anonymous: int | None = None
    file: int | None = None
    """Page cache without shared memory and swap cache."""
    shmem: int | None = None
    slab: int | None = None
    """Large kmalloc() included."""
    page_tables: int | None = None
    stacks: int | None = None
    vmalloc: int | None = None
    free_cma: int | None = None
    all_cma: int | None = None
    """All pages of CMA areas."""
    unaccepted: int | None = None
    """Those of *free* that a confidential guest has not accepted yet."""
    zspages: int | None = None
    secondary_tables: int | None = None
    """Page tables of virtual machines, and of devices behind an IOMMU."""
    balloon: int | None = None
    gpu: int | None = None
    """Pages of graphics drivers, in use and kept in pools."""
    ksm: int | None = None
    """Pages that stand for several equal ones."""
    poisoned: int | None = None
    huge: tuple[HugePool, ...] = ()


def memory_counters(stat: VmStat, page: PageSize, huge: Sequence[HugePool] = ()) -> MemoryCounters:
    """Sum the counters up over all zones, nodes and CPUs.

    :param huge: pools of huge pages, which have counters of their own
    """
    file, shmem = stat.node("NR_FILE_PAGES"), stat.node("NR_SHMEM")
    slab = [stat.node(f"NR_SLAB_{r}RECLAIMABLE_B") for r in ("", "UN")]
    stacks = stat.node("NR_KERNEL_STACK_KB")
    vmalloc = stat.node("NR_VMALLOC")
    in_file = None
    if file is not None and shmem is not None:
        in_file = file - shmem - (stat.node("NR_SWAPCACHE") or 0)
    return MemoryCounters(
        present=stat.present(),
        free=stat.zone("NR_FREE_PAGES"),
        pcp=stat.pcp_pages(),
        anonymous=stat.node("NR_ANON_MAPPED"),
        file=in_file,
        shmem=shmem,
        slab=_sum(*slab),
        page_tables=stat.node("NR_PAGETABLE"),
        stacks=None if stacks is None else (stacks << 10) >> page.shift,
        vmalloc=stat.variable("nr_vmalloc_pages") if vmalloc is None else vmalloc,
        free_cma=stat.zone("NR_FREE_CMA_PAGES"),
        all_cma=stat.variable("totalcma_pages"),
        unaccepted=stat.zone("NR_UNACCEPTED"),
        zspages=stat.zone("NR_ZSPAGES"),
        secondary_tables=stat.node("NR_SECONDARY_PAGETABLE"),
        balloon=stat.node("NR_BALLOON_PAGES"),
        gpu=_sum(stat.node("NR_GPU_ACTIVE"), stat.node("NR_GPU_RECLAIM")),
        ksm=stat.variable("ksm_pages_shared"),
        poisoned=stat.variable("num_poisoned_pages"),
        huge=tuple(huge),
    )


def _sum(*counters: int | None) -> int | None:
    """None where one is missing."""
    known = [counter for counter in counters if counter is not None]
    return sum(known) if len(known) == len(counters) else None


@dataclass(frozen=True)
class Reclaimable:
    """Memory that the kernel could have got back, by its own counters; bytes."""

    file: int
    """Page cache that can be dropped or written back."""
    slab: int
    """Slab caches that can shrink."""
    other: int
    """Other memory of the kernel."""


def reclaimable(stat: VmStat, page: PageSize) -> Reclaimable | None:
    """Sum up as ``si_mem_available()`` in ``mm/show_mem.c`` does; None if a counter is missing."""
    file = [stat.node(f"NR_{which}ACTIVE_FILE") for which in ("", "IN")]
    slab = stat.node("NR_SLAB_RECLAIMABLE_B")
    other = stat.node("NR_KERNEL_MISC_RECLAIMABLE") or 0
    if file[0] is None or file[1] is None or slab is None:
        return None
    return Reclaimable(*(n << page.shift for n in (file[0] + file[1], slab, other)))
