# SPDX-License-Identifier: LGPL-2.1-or-later
"""Accounts of a dump's memory: which sites hold it, and where all of it went."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from drgn import Program, sizeof

from .analysis.footprint import Int
from .analysis.usage import KernelCounters, Node, ProfilerCost, usage
from .errors import DamagedError
from .kernel.damage import damage_cause
from .kernel.machine.vmstat import VmStat
from .kernel.mm.allocations import VmallocUse
from .kernel.mm.attribution import Attribution, Progress, attribute
from .kernel.mm.pages import Kind
from .kernel.tags.counters import per_cpu_offsets
from .kernel.tags.sites import Sites
from .kernel.walk import ReadErrors
from .source.memory import Memory
from .source.program import Dump


def attribution(dump: Dump, sites: Sites, progress: Progress | None = None) -> Attribution:
    """Memory that each site holds: one pass over all memory.

    :raises DamagedError: if the dump lacks what describes its memory
    """
    memory = Memory(dump.prog)
    try:
        found = attribute(memory, dump.vmcoreinfo, sites.address, progress)
    except ReadErrors as e:
        raise no_memory_map(dump, e) from None
    if memory.holes.pages and dump.state != "dead":
        found.problems.append(
            f"{memory.holes.pages:,} pages that describe memory could not be read, or what"
            f" points at them changed meanwhile ({memory.holes.reason})"
        )
    elif memory.holes.pages:
        cause = damage_cause(dump.prog, dump.core)
        found.problems.append(
            f"{memory.holes.pages:,} pages that describe memory are not in the dump"
            + (f": {cause}" if cause else f" ({memory.holes.reason})")
        )
    return found


def no_memory_map(dump: Dump, error: Exception) -> DamagedError:
    """Error for a dump without the structures that describe its memory."""
    return DamagedError(
        f"{dump.core.path}: what describes memory (sections, struct page, slab caches)"
        f" is not readable: {error}."
    )


def memory_usage(dump: Dump, sites: Sites, found: Attribution, areas: Iterable[VmallocUse]) -> Node:
    """All memory: a tree that adds up to every page."""
    return usage(
        sites,
        found,
        vmalloc_pages(areas, len(sites)),
        _counters(dump.prog, found),
        _cost(dump.prog, sites),
    )


def vmalloc_pages(areas: Iterable[VmallocUse], sites: int) -> Int:
    """Pages in vmalloc areas by site: shape (number of sites,)."""
    pages = np.zeros(sites, np.int64)
    for use in areas:
        if use.site >= 0:
            pages[use.site] += use.area.pages
    return pages


def _counters(prog: Program, found: Attribution) -> KernelCounters:
    stat = VmStat(prog)
    file, shmem = stat.node("NR_FILE_PAGES"), stat.node("NR_SHMEM")
    slab = [stat.node(f"NR_SLAB_{r}RECLAIMABLE_B") for r in ("", "UN")]
    stacks = stat.node("NR_KERNEL_STACK_KB")
    vmalloc = stat.node("NR_VMALLOC")
    in_slab = None
    if slab[0] is not None and slab[1] is not None:
        # The kernel counts large kmalloc()s with slabs.
        in_slab = slab[0] + slab[1] - int(found.kinds[Kind.LARGE_KMALLOC].sum())
    in_file = None
    if file is not None and shmem is not None:
        in_file = file - shmem - (stat.node("NR_SWAPCACHE") or 0)
    return KernelCounters(
        present=stat.present(),
        free=stat.zone("NR_FREE_PAGES"),
        pcp=stat.pcp_pages(),
        anonymous=stat.node("NR_ANON_MAPPED"),
        file=in_file,
        shmem=shmem,
        slab=in_slab,
        page_tables=stat.node("NR_PAGETABLE"),
        stacks=None if stacks is None else stacks // 4,
        vmalloc=stat.variable("nr_vmalloc_pages") if vmalloc is None else vmalloc,
    )


def _cost(prog: Program, sites: Sites) -> ProfilerCost:
    own = int(np.count_nonzero(sites.module == ""))
    if not own:
        return ProfilerCost(0, 0, 0.0)
    counter, tag = (
        sizeof(prog.type(name)) for name in ("struct alloc_tag_counters", "struct alloc_tag")
    )
    try:
        share = 8 / (prog["page_ext_size"].value_() or 8)
    except ReadErrors:
        share = 1.0
    return ProfilerCost(own * tag, own * counter * len(per_cpu_offsets(prog)), share)
