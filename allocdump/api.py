# SPDX-License-Identifier: LGPL-2.1-or-later
"""An opened dump, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from drgn import FaultError
from drgn.helpers.linux.mm import pfn_to_virt

from .account import attribution, memory_usage, no_memory_map
from .analysis.audit import Audit, audit
from .analysis.report import Origin, Report
from .analysis.triage import triage
from .analysis.triage.page import Triage
from .analysis.usage import Node
from .dump.memory import U64, Memory
from .dump.program import Dump as ProgramDump
from .errors import ProfilingError
from .investigate import investigate
from .kernel.allocinfo import allocinfo_header
from .kernel.attribution import Attribution, Progress
from .kernel.counters import per_cpu_offsets
from .kernel.damage import damage_cause
from .kernel.listing import (
    ObjectReader,
    PageBatch,
    VmallocUse,
    Zone,
    page_batches,
    vmalloc_uses,
    zones,
)
from .kernel.locate import Location, Locator
from .kernel.log import KernelLog, kernel_log
from .kernel.percpu import cgroup_pointers
from .kernel.profile import read_profile
from .kernel.profiling import profiling
from .kernel.system import system


class Dump:
    """A vmcore or the running kernel, opened with :func:`allocdump.open`."""

    def __init__(self, opened: ProgramDump) -> None:
        self._opened = opened
        self._report: Report | None = None
        self._attribution: Attribution | None = None
        self.prog = opened.prog
        """The :class:`drgn.Program`, for everything that allocdump does not do."""

    @cached_property
    def log(self) -> KernelLog:
        """The kernel log."""
        return kernel_log(self.prog)

    @cached_property
    def origin(self) -> Origin:
        """Which kernel this is, how it died, and the state of profiling.

        :raises ProfilingError: if the kernel was built without allocation profiling
        """
        opened = self._opened
        return Origin(
            core=opened.core.path,
            format=opened.core.describe(),
            types=opened.types,
            system=system(self.prog, opened.vmcoreinfo),
            reason=self.log.panic_message(),
            profiling=profiling(self.prog),
        )

    def report(self) -> Report:
        """All call sites with their counters.

        :raises ProfilingError: if the kernel kept none: built without allocation
            profiling, or it was never enabled
        """
        if self._report is None:
            self._report = self._read_report()
        return self._report

    def _read_report(self) -> Report:
        origin = self.origin
        if origin.profiling.state == "never":
            raise _never(origin)
        profile = read_profile(self.prog, self.log.unload_messages())
        done, warnings = profile.completeness, list(self._opened.warnings)
        if origin.profiling.state == "off":
            if done.complete and not (profile.sites.bytes.any() or profile.sites.calls.any()):
                raise _never(origin)
            warnings.append(
                "Profiling was off when the kernel died: memory allocated meanwhile has no"
                " call site, and memory freed meanwhile is still counted."
            )
        if self.log.error:
            warnings.append(f"The kernel log is unreadable: {self.log.error}.")
        if done.problems:
            cause = damage_cause(self.prog, self._opened.core)
            warnings += [f"Damaged dump: {problem}." for problem in done.problems]
            if cause:
                warnings.append(f"The cause: {cause}.")
        return Report(origin, profile.sites, profile.types, done, warnings)

    def attribution(self, progress: Progress | None = None) -> Attribution:
        """Which memory each site of the report holds: one pass over all memory.

        :raises DamagedError: if the dump lacks what describes its memory
        """
        if self._attribution is None:
            self._attribution = attribution(self._opened, self.report().sites, progress)
        return self._attribution

    def audit(self, progress: Progress | None = None) -> Audit:
        """Counters against memory."""
        report, found = self.report(), self.attribution(progress)
        return audit(
            report.sites,
            found,
            cpus=self.possible_cpus,
            cgroup_pointers=cgroup_pointers(self.prog),
            profiling=report.origin.profiling,
            completeness=report.completeness,
        )

    def usage(self, progress: Progress | None = None) -> Node:
        """Where all memory went: a tree that adds up to every page."""
        sites, found = self.report().sites, self.attribution(progress)
        return memory_usage(self._opened, sites, found, self.vmalloc_areas())

    def triage(self, progress: Progress | None = None, top: int | None = None) -> Triage:
        """From a dead machine to the suspect; goes on where something is missing.

        :param top: rows of each table; None is all
        """
        return triage(investigate(self._opened, self.log, self.report, progress), top)

    def pages(self, progress: Progress | None = None) -> Iterator[PageBatch]:
        """All allocations of pages that have a site, in batches of numpy columns."""
        direct_map = pfn_to_virt(self.prog, 0).value_()
        return page_batches(
            Memory(self.prog), self._opened.vmcoreinfo, self._addresses, direct_map, progress
        )

    def objects(self) -> ObjectReader:
        """All slab and per-CPU objects that have a site; iterate for batches of columns."""
        return ObjectReader(Memory(self.prog), self._opened.vmcoreinfo, self._addresses)

    def vmalloc_areas(self) -> Iterator[VmallocUse]:
        """All vmalloc areas with their sites and callers."""
        return vmalloc_uses(Memory(self.prog), self._opened.vmcoreinfo, self._addresses)

    def whois(self, query: str) -> Location:
        """What is at an address, who allocated it, and what it is a part of.

        :param query: a number, ``pfn:N``, ``phys:N`` or a symbol
        :raises AddressError: if it is none of these
        """
        return self._locator.locate(query)

    @cached_property
    def _locator(self) -> Locator:
        try:
            return Locator(Memory(self.prog), self._opened.vmcoreinfo, self._addresses)
        except (LookupError, FaultError) as e:
            raise no_memory_map(self._opened, e) from None

    @property
    def zones(self) -> list[Zone]:
        """All populated zones."""
        return zones(self.prog)

    @property
    def _addresses(self) -> U64:
        return self.report().sites.address

    @cached_property
    def possible_cpus(self) -> int:
        """Number of possible CPUs."""
        return len(per_cpu_offsets(self.prog))

    @cached_property
    def first_cpu_offset(self) -> int:
        """What to add to a per-CPU pointer for the first possible CPU's copy."""
        return int(per_cpu_offsets(self.prog)[0])

    def allocinfo_header(self) -> str | None:
        """The two lines that this kernel prints above /proc/allocinfo, if they are readable."""
        return allocinfo_header(self.prog)


def _never(origin: Origin) -> ProfilingError:
    return ProfilingError(
        f"{origin.core}: allocation profiling was never enabled on this machine, so there is"
        " nothing to report; boot with sysctl.vm.mem_profiling=1."
    )
