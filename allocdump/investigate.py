# SPDX-License-Identifier: LGPL-2.1-or-later
"""Puts together all that is known of a dead machine; goes on where something is missing."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from .account import attribution, memory_usage, vmalloc_pages
from .analysis.audit import audit
from .analysis.caches import cache_rows
from .analysis.footprint import footprint
from .analysis.report import Report
from .analysis.totals import object_totals
from .errors import AllocdumpError, ProfilingError
from .graph.roots import Tier
from .kernel.machine.cgroups import memory_cgroups
from .kernel.machine.log import KernelLog
from .kernel.machine.oom import allocation_failures, oom_events
from .kernel.machine.swap import swap_space
from .kernel.machine.system import system
from .kernel.machine.tasks import tasks
from .kernel.machine.tmpfs import tmpfs_mounts
from .kernel.machine.vmstat import VmStat
from .kernel.machine.zones import zone_states
from .kernel.mm.allocations import ObjectReader, vmalloc_uses
from .kernel.mm.attribution import Attribution, Progress
from .kernel.mm.percpu import cgroup_pointers
from .kernel.tags.counters import per_cpu_offsets
from .kernel.tags.profiling import profiling
from .kernel.tags.sites import Sites
from .kernel.walk import ReadErrors
from .source.memory import Memory
from .source.program import Dump
from .triage.evidence import Case, Holder, LostSite, Machine, Reclaimable

T = TypeVar("T")

if TYPE_CHECKING:
    from .analysis.dominators import Dominators
    from .analysis.reach import Reach

_MOST_NODES = 5_000_000
"""With more allocations, telling who holds them takes gigabytes: ``retained`` does it if asked."""
_MOST_HOLDERS = 20


@dataclass(frozen=True)
class Asks:
    """Answers read on demand; each may raise an :class:`AllocdumpError`."""

    report: Callable[[], Report]
    reach: Callable[[], Reach]
    dominators: Callable[[], Dominators]


def investigate(dump: Dump, log: KernelLog, asks: Asks, progress: Progress | None = None) -> Case:
    """Read everything that triage looks at."""
    return _Investigation(dump, log, asks).run(progress)


class _Investigation:
    def __init__(self, dump: Dump, log: KernelLog, asks: Asks) -> None:
        self.dump, self.prog, self.log = dump, dump.prog, log
        self.asks = asks
        self.missing: list[str] = []
        self.report = self._attempt("the report", asks.report)
        self._miss(*(self.report.warnings if self.report else []))
        self.sites = self.report.sites if self.report else Sites.none()
        self.cpus = len(per_cpu_offsets(self.prog))

    def run(self, progress: Progress | None) -> Case:
        if self.log.error:
            self._miss(f"the kernel log is unreadable: {self.log.error}")
        elif not self.log.text:
            self._miss("the kernel log is empty")
        case = Case(
            machine=self._machine(),
            sites=self.sites,
            events=oom_events(self.log),
            failures=allocation_failures(self.log),
            swap=swap_space(self.prog),
            reclaimable=_reclaimable(VmStat(self.prog)),
            missing=self.missing,
        )
        case.zones, problems = zone_states(self.prog)
        self._miss(*problems)
        processes = tasks(Memory(self.prog))
        cgroups, mounts = memory_cgroups(self.prog), tmpfs_mounts(self.prog)
        case.tasks, case.cgroups = processes.tasks, cgroups.cgroups
        case.tmpfs = mounts.mounts
        self._miss(*processes.problems, *cgroups.problems, *mounts.problems)
        found = self._attempt(
            "what memory is used for", lambda: attribution(self.dump, self.sites, progress)
        )
        if found:
            self._attempt("what sites keep", lambda: self._memory(case, found, progress))
        if self.report is not None:
            self._attempt("who points at what", lambda: self._leaks(case))
        return case

    def _attempt(self, what: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except AllocdumpError as e:
            self._miss(str(e))
        except ReadErrors as e:
            self._miss(f"{what} is unreadable: {e}")
        return None

    def _leaks(self, case: Case) -> None:
        """What is lost, and who holds the rest."""
        reach = self.asks.reach()
        if reach.reasons:
            self._miss(f"lost memory cannot be told from held: {reach.reasons[0]}")
            return
        from .analysis.dominators import holdings
        from .analysis.leaks import leaks

        lost = leaks(reach, self.sites).lost
        sure = np.isin(lost.confidence, ["high", "medium"])
        rows = lost.take(sure)
        case.lost = [
            LostSite(
                int(rows.site[i]),
                int(rows.bytes[i]),
                int(rows.allocations[i]),
                int(rows.held_bytes[i]),
                str(rows.confidence[i]),
            )
            for i in range(len(rows))
        ]
        graph = reach.graph
        if len(graph.nodes) > _MOST_NODES:
            self._miss("there are too many allocations to tell here who holds them")
            return
        case.holders = [
            Holder(
                graph.roots[h.root].name,
                graph.roots[h.root].where,
                h.bytes,
                h.allocations,
                h.children[0].site if h.children else None,
            )
            for h in holdings(self.asks.dominators(), 1)[:_MOST_HOLDERS]
            if h.root is not None and graph.roots[h.root].tier != Tier.OTHER
        ]

    def _miss(self, *sentences: str) -> None:
        for sentence in sentences:
            text = sentence.removeprefix(f"{self.dump.core.path}: ").rstrip(".")
            self.missing.append(f"{text[:1].upper()}{text[1:]}.")

    def _machine(self) -> Machine:
        try:
            state = profiling(self.prog).describe()
            if self.report is None:
                state = f"{state}, but unreadable" if state.startswith("on") else "never"
        except ProfilingError:
            state = "not built in"
        return Machine(
            core=self.dump.core.path,
            arguments=shlex.join(self.dump.arguments),
            system=system(self.prog, self.dump.vmcoreinfo),
            cpus=self.cpus,
            reason=self.log.panic_message(),
            uptime=self.log.uptime(),
            profiling=state,
        )

    def _memory(self, case: Case, found: Attribution, progress: Progress | None) -> None:
        """What the pass over all memory tells."""
        memory, vmcoreinfo = Memory(self.prog), self.dump.vmcoreinfo
        self._miss(*found.problems)
        with suppress(*ReadErrors):
            case.areas = list(vmalloc_uses(memory, vmcoreinfo, self.sites.address))
        case.usage = memory_usage(self.dump, self.sites, found, case.areas)
        case.caches = cache_rows(found)
        if self.report is None:
            return
        reader = ObjectReader(memory, vmcoreinfo, self.sites.address)
        with_site = (batch.take(batch.site >= 0) for batch in reader.batches(progress))
        objects = object_totals(with_site, len(reader.caches))
        pages = vmalloc_pages(case.areas, len(self.sites))
        case.footprint = footprint(self.sites, found, objects, pages, self.cpus)
        case.audit = audit(
            self.sites,
            found,
            cpus=self.cpus,
            cgroup_pointers=cgroup_pointers(self.prog),
            profiling=self.report.origin.profiling,
            completeness=self.report.completeness,
        )


def _reclaimable(stat: VmStat) -> Reclaimable | None:
    """By the kernel's counters: ``si_mem_available()`` in ``mm/show_mem.c``."""
    file = [stat.node(f"NR_{which}ACTIVE_FILE") for which in ("", "IN")]
    slab = stat.node("NR_SLAB_RECLAIMABLE_B")
    other = stat.node("NR_KERNEL_MISC_RECLAIMABLE")
    if file[0] is None or file[1] is None or slab is None:
        return None
    return Reclaimable((file[0] + file[1]) << 12, slab << 12, (other or 0) << 12)
