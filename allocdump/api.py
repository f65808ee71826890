# SPDX-License-Identifier: LGPL-2.1-or-later
"""An opened dump, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
from drgn import FaultError, sizeof
from drgn.helpers.linux.mm import pfn_to_virt

from .analysis.audit import Audit, audit
from .analysis.report import Origin, Report
from .analysis.usage import KernelCounters, Node, ProfilerCost, usage
from .dump.memory import U64, Memory
from .dump.program import Dump as ProgramDump
from .dump.program import State
from .errors import DamagedError, ProfilingError
from .kernel.allocinfo import allocinfo_header
from .kernel.attribution import Attribution, Progress, attribute
from .kernel.codetag import describe_tag
from .kernel.counters import per_cpu_offsets
from .kernel.damage import damage_cause
from .kernel.frames import Kind
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
from .kernel.log import KernelLog, UnloadMessage, kernel_log
from .kernel.profile import read_profile
from .kernel.profiling import profiling
from .kernel.sampler import Recounter, Sampler, settled_profile
from .kernel.sites import Sites
from .kernel.system import system
from .kernel.vmstat import VmStat


class Dump:
    """A vmcore, the running kernel or a QEMU guest's, opened with :func:`allocdump.open`.

    A context manager: at its end, a guest that was paused runs again.
    """

    def __init__(self, opened: ProgramDump) -> None:
        self._opened = opened
        self._report: Report | None = None
        self._attribution: Attribution | None = None
        self.prog = opened.prog
        """The :class:`drgn.Program`, for everything that allocdump does not do."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up on a guest, which runs again if it was paused; a dump stays open.

        :raises DumpError: if that fails
        """
        self._opened.close()

    @property
    def path(self) -> str:
        """The file, or the guest's socket."""
        return self._opened.core.path

    @property
    def notices(self) -> list[str]:
        """Sentences to be known before anything is read: that it will be slow."""
        return self._opened.notices

    @property
    def state(self) -> State:
        """Of the kernel: ``dead`` in a dump; ``running`` ones change while they are read."""
        return self._opened.state

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
            state=self.state,
        )

    def report(self) -> Report:
        """All call sites with their counters, read once; see :meth:`sampler` for more.

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
        if self.state == "dead":
            profile = read_profile(self.prog, self.log.unload_messages())
        else:
            profile = settled_profile(self.prog, self._unload_messages)
        done, warnings = profile.completeness, list(self._opened.warnings)
        if origin.profiling.state == "off":
            if done.complete and not (profile.sites.bytes.any() or profile.sites.calls.any()):
                raise _never(origin)
            was = "was off when the kernel died" if self.state == "dead" else "is off"
            warnings.append(
                f"Profiling {was}: memory allocated meanwhile has no"
                " call site, and memory freed meanwhile is still counted."
            )
        if self.log.error:
            warnings.append(f"The kernel log is unreadable: {self.log.error}.")
        if done.problems:
            cause = damage_cause(self.prog, self._opened.core)
            damaged = "Damaged dump" if self.state == "dead" else "Not all could be read"
            warnings += [f"{damaged}: {problem}." for problem in done.problems]
            if cause:
                warnings.append(f"The cause: {cause}.")
        report = Report(origin, profile.sites, profile.types, done, warnings)
        if self.state == "running":
            self._note_moves(report)
        return report

    def _note_moves(self, report: Report) -> None:
        report.moved = self._moved(report.sites)
        count, sites = int(np.count_nonzero(report.moved)), len(report.sites)
        report.warnings.append(
            "The kernel went on running while it was read, so that numbers are of different"
            f" moments: {count:,} of {sites:,} sites moved within the report alone."
        )

    def _moved(self, sites: Sites) -> npt.NDArray[np.bool_]:
        now = Recounter(self.prog, sites).recount()
        return np.asarray((now.bytes != sites.bytes) | (now.calls != sites.calls))

    def _unload_messages(self) -> list[UnloadMessage]:
        return kernel_log(self.prog).unload_messages()

    def sampler(self) -> Sampler:
        """For the counters of a running kernel, again and again.

        :raises ProfilingError: if the kernel keeps none
        """
        if self.origin.profiling.state == "never":
            raise _never(self.origin)
        return Sampler(self.prog, self._unload_messages)

    def attribution(self, progress: Progress | None = None) -> Attribution:
        """Which memory each site of the report holds: one pass over all memory.

        :raises DamagedError: if the dump lacks what describes its memory
        """
        if self._attribution is None:
            memory = Memory(self.prog)
            try:
                self._attribution = attribute(
                    memory, self._opened.vmcoreinfo, self.report().sites.address, progress
                )
            except (LookupError, FaultError) as e:
                raise self._no_memory_map(e) from None
            self._attribution.problems += self._holes(memory)
        return self._attribution

    def audit(self, progress: Progress | None = None) -> Audit:
        """Counters against memory."""
        report, found = self.report(), self.attribution(progress)
        moved = None
        if self.state == "running":
            moved = self._moved(report.sites)
            # What was freed under the reading left anything behind, tags or not.
            found.strays = {a: n for a, n in found.strays.items() if describe_tag(self.prog, a)}
        return audit(
            report.sites,
            found,
            moved=moved,
            cpus=self.possible_cpus,
            cgroup_pointers=self._cgroup_pointers(),
            profiling=report.origin.profiling,
            completeness=report.completeness,
        )

    def usage(self, progress: Progress | None = None) -> Node:
        """Where all memory went: a tree that adds up to every page."""
        report, found = self.report(), self.attribution(progress)
        vmalloc = np.zeros(len(report.sites), np.int64)
        for use in self.vmalloc_areas():
            if use.site >= 0:
                vmalloc[use.site] += use.area.pages
        return usage(report.sites, found, vmalloc, self._counters(found), self._cost())

    def _counters(self, found: Attribution) -> KernelCounters:
        stat = VmStat(self.prog)
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

    def _cost(self) -> ProfilerCost:
        sites = int(np.count_nonzero(self.report().sites.module == ""))
        counter, tag = (
            sizeof(self.prog.type(name))
            for name in ("struct alloc_tag_counters", "struct alloc_tag")
        )
        try:
            share = 8 / (self.prog["page_ext_size"].value_() or 8)
        except (LookupError, FaultError):
            share = 1.0
        return ProfilerCost(sites * tag, sites * counter * self.possible_cpus, share)

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
            raise self._no_memory_map(e) from None

    def _no_memory_map(self, error: Exception) -> DamagedError:
        return DamagedError(
            f"{self.origin.core}: what describes memory (sections, struct page, slab caches)"
            f" is not readable: {error}."
        )

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

    def _cgroup_pointers(self) -> bool:
        try:
            return bool(self.prog.type("struct pcpuobj_ext").has_member("cgroup"))
        except LookupError:
            return False

    def _holes(self, memory: Memory) -> list[str]:
        """What to say of memory that a bulk read missed."""
        if not memory.holes.pages:
            return []
        if self.state != "dead":
            return [
                f"{memory.holes.pages:,} pages that describe memory could not be read, or what"
                f" points at them changed meanwhile ({memory.holes.reason})"
            ]
        cause = damage_cause(self.prog, self._opened.core)
        return [
            f"{memory.holes.pages:,} pages that describe memory are not in the dump"
            + (f": {cause}" if cause else f" ({memory.holes.reason})")
        ]

    def allocinfo_header(self) -> str | None:
        """The two lines that this kernel prints above /proc/allocinfo, if they are readable."""
        return allocinfo_header(self.prog)


def _never(origin: Origin) -> ProfilingError:
    return ProfilingError(
        f"{origin.core}: allocation profiling was never enabled on this machine, so there is"
        " nothing to report; boot with sysctl.vm.mem_profiling=1."
    )
