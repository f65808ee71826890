# SPDX-License-Identifier: LGPL-2.1-or-later
"""A session: an opened dump, and the answers it gives."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Self

from drgn import FaultError
from drgn.helpers.linux.mm import pfn_to_virt

from .analysis.report import Origin, Report
from .arrays import Batches
from .errors import ProfilingError, extra
from .kernel.machine.log import KernelLog, UnloadMessage, kernel_log
from .kernel.machine.system import System, system
from .kernel.tags.profiling import profiling
from .source.memory import Memory

# Whatever reads all memory is imported where it is asked for: a session opens a dump, and
# may never do that.
if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from .analysis.audit import Audit
    from .analysis.dominators import Dominators
    from .analysis.leaks import Leaks
    from .analysis.paths import Paths
    from .analysis.reach import Reach
    from .analysis.usage import Node
    from .graph.edges import Graph
    from .kernel.mm.allocations import ObjectReader, PageBatch, VmallocUse, Zone
    from .kernel.mm.attribution import Attribution, Progress
    from .kernel.mm.whois import Location, Locator
    from .kernel.tags.sampler import Sampler
    from .kernel.tags.sites import Sites
    from .source.memory import U64
    from .source.program import Dump as ProgramDump
    from .source.program import State
    from .triage.verdict import Triage


class Dump:
    """A vmcore, the running kernel or a QEMU guest's, opened with :func:`allocdump.open`.

    A context manager: at its end, a guest that was paused runs again.
    """

    def __init__(self, opened: ProgramDump) -> None:
        self._opened = opened
        self._report: Report | None = None
        self._attribution: Attribution | None = None
        self._graph: Graph | None = None
        self._reach: Reach | None = None
        self._dominators: Dominators | None = None
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
        """State of the kernel: ``dead`` in a dump; a ``running`` one changes while it is read."""
        return self._opened.state

    @cached_property
    def log(self) -> KernelLog:
        """The kernel log."""
        return kernel_log(self.prog)

    @cached_property
    def system(self) -> System:
        """The machine and its kernel."""
        return system(self.prog, self._opened.vmcoreinfo)

    @property
    def core(self) -> str:
        """The file and its format, in words."""
        return f"{self._opened.core.path} ({self._opened.core.describe()})"

    @property
    def types(self) -> str:
        """Source of types: ``btf`` or ``dwarf``."""
        return self._opened.types

    @property
    def warnings(self) -> list[str]:
        """Sentences about the dump as a whole; those of the report begin with them."""
        return list(self._opened.warnings)

    @cached_property
    def origin(self) -> Origin:
        """The kernel, its death, and the state of profiling.

        :raises ProfilingError: if the kernel was built without allocation profiling
        """
        opened = self._opened
        return Origin(
            core=opened.core.path,
            format=opened.core.describe(),
            types=opened.types,
            system=self.system,
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
        from .kernel.damage import damage_cause
        from .kernel.tags.profile import read_profile

        origin = self.origin
        if origin.profiling.state == "never":
            raise _never(origin)
        if self.state == "dead":
            profile = read_profile(self.prog, self.log.unload_messages())
        else:
            from .kernel.tags.sampler import settled_profile

            profile = settled_profile(self.prog, self._unload_messages)
        done, warnings = profile.completeness, self.warnings
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
        moved = report.moved = self._moved(report.sites)
        count, sites = int(moved.sum()), len(report.sites)
        report.warnings.append(
            "The kernel went on running while it was read, so that numbers are of different"
            f" moments: {count:,} of {sites:,} sites moved within the report alone."
        )

    def _moved(self, sites: Sites) -> npt.NDArray[np.bool_]:
        from .kernel.tags.sampler import Recounter

        now = Recounter(self.prog, sites).recount()
        moved: npt.NDArray[np.bool_] = (now.bytes != sites.bytes) | (now.calls != sites.calls)
        return moved

    def _unload_messages(self) -> list[UnloadMessage]:
        return kernel_log(self.prog).unload_messages()

    def sampler(self) -> Sampler:
        """Sampler of the counters of a running kernel.

        :raises ProfilingError: if the kernel keeps none
        """
        if self.origin.profiling.state == "never":
            raise _never(self.origin)
        from .kernel.tags.sampler import Sampler

        return Sampler(self.prog, self._unload_messages)

    def attribution(self, progress: Progress | None = None) -> Attribution:
        """Memory that each site of the report holds: one pass over all memory.

        :raises DamagedError: if the dump lacks what describes its memory
        """
        if self._attribution is None:
            from .account import attribution

            self._attribution = attribution(self._opened, self.report().sites, progress)
        return self._attribution

    def audit(self, progress: Progress | None = None) -> Audit:
        """Counters against memory."""
        from .analysis.audit import audit
        from .kernel.mm.percpu import cgroup_pointers
        from .kernel.tags.codetag import describe_tag

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
            cgroup_pointers=cgroup_pointers(self.prog),
            profiling=report.origin.profiling,
            completeness=report.completeness,
        )

    def usage(self, progress: Progress | None = None) -> Node:
        """All memory: a tree that adds up to every page."""
        from .account import memory_usage

        sites, found = self.report().sites, self.attribution(progress)
        return memory_usage(self._opened, sites, found, self.vmalloc_areas())

    def triage(self, progress: Progress | None = None, top: int | None = None) -> Triage:
        """Triage: from a dead machine to the suspect; goes on where something is missing.

        :param top: rows of each table; None is all
        """
        from .investigate import Asks, investigate
        from .triage import triage

        asks = Asks(self.report, lambda: self.reach(progress), self.dominators)
        return triage(investigate(self._opened, self.log, asks, progress), top)

    def pages(self, progress: Progress | None = None) -> Batches[PageBatch]:
        """All allocations of pages that have a site, in batches of numpy columns."""
        from .kernel.mm.allocations import page_batches

        direct_map = pfn_to_virt(self.prog, 0).value_()
        where = (self._opened.vmcoreinfo, self._addresses, direct_map)
        return Batches(lambda: page_batches(Memory(self.prog), *where, progress))

    def objects(self) -> ObjectReader:
        """All slab and per-CPU objects that have a site; iterate for batches of columns."""
        from .kernel.mm.allocations import ObjectReader

        return ObjectReader(Memory(self.prog), self._opened.vmcoreinfo, self._addresses)

    def vmalloc_areas(self) -> Iterator[VmallocUse]:
        """All vmalloc areas with their sites and callers."""
        from .kernel.mm.allocations import vmalloc_uses

        return vmalloc_uses(Memory(self.prog), self._opened.vmcoreinfo, self._addresses)

    def graph(self, progress: Progress | None = None) -> Graph:
        """All allocations and the pointers between them, for leaks, retained and paths.

        :raises DamagedError: if the dump lacks what describes its memory
        """
        if self._graph is None:
            from .account import no_memory_map
            from .graph.edges import read_graph

            try:
                self._graph = read_graph(
                    Memory(self.prog), self._opened.vmcoreinfo, self.report().sites, progress
                )
            except (LookupError, FaultError) as e:
                raise no_memory_map(self._opened, e) from None
        return self._graph

    def reach(self, progress: Progress | None = None) -> Reach:
        """The allocations that roots reach.

        :raises ExtraError: if the libraries for it are not installed
        """
        if self._reach is None:
            with extra("leaks"):
                from .analysis.reach import reach
            self._reach = reach(self.graph(progress))
        return self._reach

    def leaks(self, progress: Progress | None = None) -> Leaks:
        """Memory that nothing points at any more, by site.

        :raises ExtraError: if the libraries for it are not installed
        """
        reached = self.reach(progress)
        from .analysis.leaks import leaks

        return leaks(reached, self.report().sites)

    def dominators(self, progress: Progress | None = None) -> Dominators:
        """Holders that keep memory alive: the dominator tree of all nodes that roots reach.

        :raises ExtraError: if the libraries for it are not installed
        """
        reached = self.reach(progress)
        if self._dominators is None:
            with extra("leaks"):
                from .analysis.dominators import dominators
            self._dominators = dominators(reached)
        return self._dominators

    def paths(self, query: str, limit: int = 1, progress: Progress | None = None) -> Paths:
        """The shortest ways from roots to the allocation at an address.

        :param query: as for :meth:`whois`
        :raises AddressError: if it is none of these
        :raises ExtraError: if the libraries for it are not installed
        """
        address = self._locator.parse(query)
        reached = self.reach(progress)
        from .analysis.paths import Paths, find_paths, node_at

        node = node_at(reached.graph, address)
        found = [] if node is None else find_paths(reached, node, limit)
        return Paths(query, address, node, found)

    def whois(self, query: str) -> Location:
        """The memory at an address, its call site, and everything that it is a part of.

        :param query: a number, ``pfn:N``, ``phys:N`` or a symbol
        :raises AddressError: if it is none of these
        """
        return self._locator.locate(query)

    @cached_property
    def _locator(self) -> Locator:
        from .account import no_memory_map
        from .kernel.mm.whois import Locator

        try:
            return Locator(Memory(self.prog), self._opened.vmcoreinfo, self._addresses)
        except (LookupError, FaultError) as e:
            raise no_memory_map(self._opened, e) from None

    @property
    def zones(self) -> list[Zone]:
        """All populated zones."""
        from .kernel.mm.allocations import zones

        return zones(self.prog)

    @property
    def _addresses(self) -> U64:
        return self.report().sites.address

    @cached_property
    def possible_cpus(self) -> int:
        """Number of possible CPUs."""
        from .kernel.tags.counters import per_cpu_offsets

        return len(per_cpu_offsets(self.prog))

    @cached_property
    def first_cpu_offset(self) -> int:
        """Offset from a per-CPU pointer to the first possible CPU's copy."""
        from .kernel.tags.counters import per_cpu_offsets

        return int(per_cpu_offsets(self.prog)[0])

    def allocinfo_header(self) -> str | None:
        """The two lines that this kernel prints above /proc/allocinfo, if they are readable."""
        from .kernel.tags.header import allocinfo_header

        return allocinfo_header(self.prog)


def _never(origin: Origin) -> ProfilingError:
    return ProfilingError(
        f"{origin.core}: allocation profiling was never enabled on this machine, so there is"
        " nothing to report; boot with sysctl.vm.mem_profiling=1."
    )
