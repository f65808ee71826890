# SPDX-License-Identifier: LGPL-2.1-or-later
"""Puts together all that is known of a dead machine; goes on where something is missing."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..analysis.attribution import Attribution
from ..analysis.caches import cache_rows
from ..analysis.footprint import footprint
from ..analysis.wrappers import of_objects
from ..confidence import Confidence
from ..errors import AllocdumpError, ProfilingError
from ..graph.roots import Tier
from ..kernel.machine.cgroups import memory_cgroups
from ..kernel.machine.clock import uptime
from ..kernel.machine.death import death, memory_parameters, taint
from ..kernel.machine.free_lists import free_lists, with_cma_blocks
from ..kernel.machine.memory_counters import reclaimable
from ..kernel.machine.oom import allocation_failures, oom_events
from ..kernel.machine.open_files import Parts, open_files
from ..kernel.machine.swap import swap_space
from ..kernel.machine.system import crash_kernel
from ..kernel.machine.tasks import tasks
from ..kernel.machine.tmpfs import tmpfs_mounts
from ..kernel.machine.vmstat import VmStat
from ..kernel.machine.zones import zone_states
from ..kernel.mm.allocations import vmalloc_uses
from ..kernel.mm.merged_caches import merged_names
from ..kernel.tags.profiling import profiling
from ..kernel.walk import is_damage
from ..progress import Progress
from ..triage.evidence import Evidence, LargeHolder, LostSite, Machine, StackEvidence
from ..triage.shortage import wanted_order
from ..triage.thresholds import NOTABLE
from .kept import note_kept, note_pins
from .zombies import zombie_evidence

T = TypeVar("T")

if TYPE_CHECKING:
    from ..analysis.dominators import Holding
    from ..analysis.report import Report
    from .session import Session

_MOST_HOLDERS = 20


def investigate(session: Session, progress: Progress | None = None) -> Evidence:
    """Read everything that triage looks at."""
    return _Investigation(session, progress).run()


class _Investigation:
    def __init__(self, session: Session, progress: Progress | None) -> None:
        self.session, self.kernel, self.progress = session, session.kernel, progress
        self.prog, self.log = session.prog, session.log
        self.missing: list[str] = []
        self.gaps: list[str] = []
        self.parts: Parts | None = None
        """Of all open files."""
        self.without = False
        """There never was a profile."""
        self.report = self._attempt("the report", self._read_report)
        self._miss(*(self.report.warnings if self.report else session.warnings))
        self.sites = session.sites
        cpus = self._attempt("what CPUs there are", lambda: session.kernel.cpus)
        self.cpus = 0 if cpus is None else len(cpus)

    def _read_report(self) -> Report | None:
        try:
            return self.session.report()
        except ProfilingError:
            self.without = True
            self._miss(self.session.without_profile)
            self.gaps.append(
                "without a profile, the call sites that allocated memory are not known"
            )
            return None

    def run(self) -> Evidence:
        if self.log.error:
            self.gaps.append("the kernel log is unreadable")
            said = f"the kernel log is unreadable: {self.log.error}"
            # The report says so, too.
            if not any(self.log.error in one for one in self.missing):
                self._miss(said)
        elif not self.log.text:
            self.gaps.append("the kernel log is empty")
            self._miss("the kernel log is empty")
        elif self.log.problems:
            self.gaps.append("parts of the kernel log are unreadable")
        if self.report is None:
            self._miss(*self.log.problems)
        case = Evidence(
            machine=self._machine(),
            sites=self.sites,
            page=self.kernel.page,
            events=oom_events(self.log),
            failures=allocation_failures(self.log),
            swap=swap_space(self.prog),
            reclaimable=reclaimable(VmStat(self.kernel), self.kernel.page),
            missing=self.missing,
            log_is_whole=bool(self.log.text) and not self.log.error and not self.log.problems,
        )
        case.zones, problems = zone_states(self.kernel)
        self._miss(*problems)
        if any(zone.free_cma for zone in case.zones):
            lists = self._attempt("whose free blocks are", lambda: free_lists(self.kernel))
            case.zones = with_cma_blocks(case.zones, lists[0] if lists else [])
        processes = tasks(self.kernel)
        cgroups, mounts = memory_cgroups(self.prog), tmpfs_mounts(self.kernel)
        case.tasks, case.cgroups = processes.tasks, cgroups.cgroups
        case.tmpfs = mounts.mounts
        files = self._attempt("what files are open", lambda: open_files(self.kernel))
        if files is not None:
            case.files, self.parts = files.files, files.parts
            self._miss(*(p for p in files.problems if p not in processes.problems))
        self._miss(*processes.problems, *cgroups.problems, *mounts.problems)
        self._miss(*(case.swap.problems if case.swap else []))
        surveyed = self._attempt("what memory is used for", self._survey)
        if surveyed:
            case.origins = self.session.origins
            self._leaks(case)
            self._memory(case, surveyed)
            order = wanted_order(case)
            if order:
                case.fragments = self._attempt(
                    "what stands in the way of large pieces",
                    lambda: self.session.fragmentation(order),
                )
        else:
            self.gaps.append("what memory is used for is unreadable")
        case.gaps = self.gaps
        return case

    def _survey(self) -> Attribution:
        self.session.survey(self.progress)
        return self.session.attribution()

    def _attempt(self, what: str, read: Callable[[], T]) -> T | None:
        """The result of *read*; None if it is unreadable, which is noted. Bugs are not."""
        try:
            return read()
        except AllocdumpError as e:
            self._miss(e)
        except Exception as e:
            if not is_damage(e):
                raise
            self._miss(f"{what} is unreadable: {e}")
        return None

    def _leaks(self, case: Evidence) -> None:
        """Lost memory, and the holders of the rest."""
        try:
            reach = self.session.reach(self.progress)
        except AllocdumpError as e:
            self._miss(e)
            self.gaps.append("not searched for leaks")
            return
        case.wrappers = self._attempt("which sites allocate for others", self.session.wrappers)
        if self.parts is not None:
            note_pins(case, self.kernel, reach, self.parts)
        if reach.reasons:
            self._miss(f"lost memory cannot be told from held: {reach.reasons[0]}")
            if reach.graph.blind or case.share(reach.obscured) >= NOTABLE:
                self.gaps.append("leaks cannot be told, since parts of memory are not in the dump")
                return
        from ..analysis.dominators import holdings
        from ..analysis.leaks import leaks

        running = self.session.state == "running"
        if running:
            self._miss(
                "lost memory cannot be told from memory on its way while the kernel runs: pause"
                " the guest, or ask allocdump leaks, which reads twice"
            )
            self.gaps.append("leaks cannot be told while the kernel runs: pause the guest")
        torn = self.session.may_be_torn
        if torn:
            self._miss("lost memory cannot be told from memory on its way in a torn image")
            self.gaps.append("leaks cannot be told, since the image may be torn")
        lost = leaks(reach, self.session.origins, moving=running or torn).lost
        words = {degree.words: degree for degree in Confidence if degree > Confidence.POSSIBLE}
        rows = lost.take(np.isin(lost.confidence, list(words)))
        case.lost = [
            LostSite(
                int(rows.site[i]),
                int(rows.bytes[i]),
                int(rows.allocations[i]),
                int(rows.held_bytes[i]),
                words[str(rows.confidence[i])],
                None if rows.chief[i] == rows.site[i] else int(rows.chief[i]),
            )
            for i in range(len(rows))
        ]
        graph = reach.graph
        if self.parts is not None:
            note_kept(case, self.kernel, reach, self.parts)
        case.holders = [
            LargeHolder(
                graph.roots[h.root].name,
                graph.roots[h.root].where,
                h.bytes,
                h.allocations,
                _most_of(h),
            )
            for h in holdings(self.session.dominators(), 1)[:_MOST_HOLDERS]
            if h.root is not None and graph.roots[h.root].tier != Tier.OTHER
        ]

    def _miss(self, *sentences: object) -> None:
        for sentence in sentences:
            text = str(sentence).removeprefix(f"{self.session.path}: ").rstrip(".")
            text = f"{text[:1].upper()}{text[1:]}."
            if text not in self.missing:
                self.missing.append(text)

    def _machine(self) -> Machine:
        state = profiling(self.kernel).describe()
        if self.report is None and not self.without:
            state = f"{state}, but unreadable"
        elif self.without and state != "not built in":
            state = "never"
        return Machine(
            core=self.session.path,
            arguments=shlex.join(self.session.source.arguments),
            system=self.session.system,
            cpus=self.cpus,
            reason=self.log.panic_message(alive=self.session.state != "dead"),
            uptime=self._uptime(),
            crash_kernel=crash_kernel(self.kernel),
            death=self._attempt("the task that panicked", lambda: death(self.prog, self.log)),
            taint=taint(self.prog),
            parameters=memory_parameters(self.prog),
            state=self.session.state,
            profiling=state,
        )

    def _uptime(self) -> float | None:
        """By the kernel's clock; else the time of the last line in its log."""
        told = uptime(self.prog)
        return self.log.uptime() if told is None else told

    def _stacks(self) -> StackEvidence | None:
        kept = self.session.pagemap.stacks
        self._miss(*kept.problems)
        if not kept:
            return None
        use, stacks = self.session.stack_use(), self.session.names.stacks
        names = np.array([*(cache.name for cache in self.session.pagemap.caches), ""], np.object_)

        def frames(code: int) -> list[str]:
            return [place.label for place in stacks.text(code).frames] if stacks else []

        return StackEvidence(use, names[use.cache], frames)

    def _memory(self, case: Evidence, found: Attribution) -> None:
        """Results of the pass over all memory."""
        self._miss(*found.problems)
        case.bugs, case.cycles = self.session.bugs, found.cycles
        areas = self._attempt("vmalloc memory", lambda: vmalloc_uses(self.session.pagemap))
        if areas is not None:
            case.areas = areas.found
            self._miss(*areas.problems)
        case.usage = self._attempt("the kernel's own account of memory", self.session.usage)
        merged = merged_names(self.prog)
        self._miss(*merged.problems)
        case.caches = cache_rows(found, merged)
        case.zombies = zombie_evidence(self.kernel, self.session.zombies())
        case.stacks = self._stacks()
        if self.report is None:
            return
        objects = self.session.object_totals()
        tagged = found.of_tags(len(self.sites))
        case.footprint = footprint(self.sites, tagged, objects, self.cpus, case.in_use)
        if case.wrappers is None:
            case.wrappers = of_objects(objects, len(self.sites))
        case.audit = self.session.audit()


def _most_of(holding: Holding) -> int | None:
    """Row of the site that more than half of what is held comes from; None if there is none."""
    first = holding.children[0] if holding.children else None
    return first.site if first and 2 * first.bytes > holding.bytes else None
