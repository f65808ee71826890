# SPDX-License-Identifier: LGPL-2.1-or-later
"""A session on an opened dump: joins the layers, and keeps what each stage has read.

Nothing else knows all layers. Stages are read when they are asked for, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ..analysis.report import Origin, Report
from ..arrays import Batches
from ..commands import WITHOUT_PROFILE
from ..errors import AllocdumpError, DamagedError, ProfilingError
from ..kernel.kernel import Kernel
from ..kernel.machine.log import KernelLog, UnloadMessage, kernel_log
from ..kernel.machine.system import System, system
from ..kernel.tags.profiling import profiling
from ..kernel.tags.roles import Role
from ..kernel.walk import ReadErrors, is_damage
from ..progress import Phase

# Whatever reads all memory is imported where it is asked for: a session opens a dump, and
# may never do that.
if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ..analysis.attribution import Attribution
    from ..analysis.audit import Audit
    from ..analysis.dominators import Dominators
    from ..analysis.fragmentation import Fragmentation
    from ..analysis.groups import Sums
    from ..analysis.holder_kinds import HolderKinds
    from ..analysis.keys import Allocations, Names
    from ..analysis.leaks import Earlier, Leaks
    from ..analysis.paths import Paths
    from ..analysis.placed import Placed
    from ..analysis.reach import Reach
    from ..analysis.referrers import Referrers
    from ..analysis.stacks import StackUse
    from ..analysis.totals import ObjectTotals
    from ..analysis.usage import Node
    from ..analysis.wrappers import Wrappers
    from ..analysis.zombies import Zombies
    from ..graph.build import HeapBuilder
    from ..graph.edges import Graph
    from ..graph.nodes import Nodes
    from ..graph.symbols import Symbols
    from ..kernel.bugs import Bug
    from ..kernel.mm.allocations import ObjectReader, PageBatch, VmallocUse, Zone
    from ..kernel.mm.origins import Origins
    from ..kernel.mm.pagemap import PageMap, Visitor
    from ..kernel.mm.whois import Location, Locator, Query
    from ..kernel.tags.sampler import Sampler
    from ..kernel.tags.sites import Sites
    from ..kernel.walk import Walked
    from ..problems import Problem
    from ..progress import Progress
    from ..source.program import Source, State
    from ..triage.verdict import Triage
    from .passes import Adder, Passes

T = TypeVar("T")

_TORN = (
    "Unless the machine was stopped, the image is of many moments: what changed meanwhile may look"
    " torn or damaged, and no memory is surely lost."
)


class Session:
    """A vmcore, the running kernel or a QEMU guest's, opened with :func:`allocdump.open`.

    A context manager: at its end, a guest that was paused runs again.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.prog = source.prog
        """The :class:`drgn.Program`, for everything that allocdump does not do."""
        self.kernel = Kernel.of(source)
        self._report: Report | None = None
        self._heap: HeapBuilder | None = None
        self._graph: Graph | None = None
        self._reach: Reach | None = None
        self._holder_kinds: HolderKinds | None = None
        self._dominators: Dominators | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.core}, {self.state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up on a guest, which runs again if it was paused; a dump stays open.

        :raises DumpError: if that fails
        """
        self.source.close()

    # What it is

    @property
    def path(self) -> str:
        """The file, or the guest's socket."""
        return self.source.core.path

    @property
    def core(self) -> str:
        """The file and its format, in words."""
        return f"{self.path} ({self.source.core.describe()})"

    @property
    def types(self) -> str:
        """Source of types: ``btf`` or ``dwarf``."""
        return self.source.types

    @property
    def state(self) -> State:
        """State of the kernel: ``dead`` in a dump; a ``running`` one changes while it is read."""
        return self.kernel.state

    @property
    def standstill(self) -> str:
        """The reason why nothing changes while it is read; empty if it does."""
        match self.state:
            case "dead":
                return "A dump does not change; watch --live, or --qemu SOCKET."
            case "paused":
                return "The guest is paused and does not change; watch one that runs."
        return ""

    @property
    def notices(self) -> list[str]:
        """Sentences to be known before anything is read: that it will be slow."""
        return self.source.notices

    @property
    def warnings(self) -> list[str]:
        """Sentences about the dump as a whole; those of the report begin with them."""
        torn = [_TORN] if self.may_be_torn else []
        return [*self.source.warnings, *torn, *self._missing_names]

    @cached_property
    def _missing_names(self) -> list[str]:
        from ..kernel.expected_names import missing_names

        return missing_names(self.prog)

    @cached_property
    def may_be_torn(self) -> bool:
        """It is a copy of memory that may have changed meanwhile: no kernel that panicked."""
        core = self.source.core
        return core.is_image and not core.at_once and not self.log.panic_message(alive=True)

    @cached_property
    def log(self) -> KernelLog:
        """The kernel log."""
        return kernel_log(self.prog)

    @cached_property
    def system(self) -> System:
        """The machine and its kernel."""
        return system(self.kernel)

    @cached_property
    def bugs(self) -> frozenset[Bug]:
        """Known bugs that the kernel has, or what saved it."""
        from ..kernel.bugs import bugs_of

        return bugs_of(self.kernel)

    @cached_property
    def origin(self) -> Origin:
        """The kernel, how it died, and the state of profiling."""
        return Origin(
            core=self.path,
            format=self.source.core.describe(),
            types=self.types,
            system=self.system,
            reason=self.log.panic_message(alive=self.state != "dead"),
            profiling=profiling(self.kernel),
            state=self.state,
        )

    @property
    def possible_cpus(self) -> int:
        """Number of possible CPUs."""
        return len(self.kernel.cpus)

    @property
    def first_cpu_offset(self) -> int:
        """Offset from a per-CPU pointer to the first possible CPU's copy."""
        return int(self.kernel.cpus.offsets[0])

    @cached_property
    def zones(self) -> Walked[Zone]:
        """All populated zones, and what was unreadable.

        :raises DamagedError: if none can be read
        """
        from ..kernel.mm.allocations import zones

        found = zones(self.prog)
        if found.problems and not found.found:
            raise DamagedError(f"{self.path}: {found.problems[0]}.")
        return found

    def allocinfo_header(self) -> str | None:
        """The two lines that this kernel prints above /proc/allocinfo, if they are readable."""
        from ..kernel.tags.header import allocinfo_header

        return allocinfo_header(self.prog)

    # Counters

    def report(self) -> Report:
        """All call sites with their counters, read once; see :meth:`sampler` for more.

        :raises ProfilingError: if the kernel kept none: built without allocation
            profiling, or it was never enabled
        """
        if self._report is None:
            self._report = self._read_report()
        return self._report

    def _read_report(self) -> Report:
        from ..kernel.damage import damage_cause
        from ..kernel.tags.profile import read_profile

        origin = self.origin
        if origin.profiling.state in ("never", "not built in"):
            raise _no_profile(origin)
        if self.state == "dead":
            profile = read_profile(self.kernel, self.log.unload_messages())
        else:
            from ..kernel.tags.sampler import settled_profile

            profile = settled_profile(self.kernel, self._unload_messages)
        done, warnings = profile.completeness, self.warnings
        if origin.profiling.state == "off":
            if done.complete and not (profile.sites.bytes.any() or profile.sites.calls.any()):
                raise _no_profile(origin)
            was = "was off when the kernel died" if self.state == "dead" else "is off"
            warnings.append(
                f"Profiling {was}: memory allocated meanwhile has no"
                " call site, and memory freed meanwhile is still counted."
            )
        if not origin.system.version:
            warnings.append("The kernel's version and host name (init_uts_ns) are unreadable.")
        if self.log.error:
            warnings.append(f"The kernel log is unreadable: {self.log.error}.")
        warnings += [f"Damaged kernel log: {problem}." for problem in self.log.problems]
        if done.problems:
            cause = damage_cause(self.kernel)
            damaged = "Damaged dump" if self.state == "dead" else "Not all could be read"
            warnings += [f"{damaged}: {problem}." for problem in done.problems]
            if cause:
                warnings.append(f"The cause: {cause}.")
        if len(profile.sites) and not (profile.sites.role == Role.SLAB).any():
            warnings.append(
                "No site is known to allocate slab pages: sums may count slab memory twice."
            )
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
        from ..kernel.tags.sampler import Recounter

        now = Recounter(self.kernel, sites).recount()
        moved: npt.NDArray[np.bool_] = (now.bytes != sites.bytes) | (now.calls != sites.calls)
        return moved

    def _unload_messages(self) -> list[UnloadMessage]:
        return kernel_log(self.prog).unload_messages()

    def sampler(self) -> Sampler:
        """Sampler of the counters of a running kernel.

        :raises ProfilingError: if the kernel keeps none
        """
        if self.origin.profiling.state in ("never", "not built in"):
            raise _no_profile(self.origin)
        from ..kernel.tags.sampler import Sampler

        return Sampler(self.kernel, self._unload_messages)

    @property
    def sites(self) -> Sites:
        """The sites of the report; none on a kernel without a profile, or if it is unreadable."""
        from ..kernel.tags.sites import Sites

        try:
            return self.report().sites
        except AllocdumpError:
            return Sites.none()
        except ReadErrors:
            return Sites.none()

    # Memory

    @cached_property
    def origins(self) -> Origins:
        """The sites of the report, and behind them all other origins that memory can have:
        whatever names the row of an allocation.

        :raises DamagedError: if the dump lacks what describes its memory
        """
        return self._described(lambda: self.pagemap.origins.names(self.sites))

    def memory_report(self) -> Report:
        """:meth:`report` with :attr:`origins` in place of its sites. Without a profile, these are
        all there is, and a warning says so.

        :raises DamagedError: if the dump lacks what describes its memory
        """
        from dataclasses import replace

        from ..kernel.tags.profile import Completeness

        try:
            report = self.report()
        except ProfilingError:
            warnings = [*self.warnings, self.without_profile]
            none = Completeness()
            return Report(self.origin, self.origins, [], none, warnings, has_profile=False)
        return replace(report, sites=self.origins)

    @property
    def without_profile(self) -> str:
        """A sentence that says what commands tell of a kernel without a profile."""
        from ..kernel.stacks.kept import keeps_stacks

        if self.origin.profiling.state == "not built in":
            why = "is not built into this kernel"
        else:
            why = "was never enabled on this machine"
        by = "slab cache, vmalloc caller and kind of page instead of call sites"
        if keeps_stacks(self.prog):
            by = "the stacks that the kernel kept; else by slab cache, vmalloc caller, kind of page"
        return f"Profiling {why}: memory is told by {by}."

    @cached_property
    def pagemap(self) -> PageMap:
        """All page frames, slabs and objects, with the report's sites.

        :raises DamagedError: if the dump lacks what describes its memory
        :raises UnsupportedError: if the kernel's page size or architecture is not known
        """
        from ..kernel.mm.pagemap import PageMap

        _ = self.kernel.arch
        return self._described(lambda: PageMap(self.kernel, self.sites))

    def _described(self, read: Callable[[], T]) -> T:
        """The result of a reader of memory's own descriptions."""
        with self._describing():
            return read()

    @contextmanager
    def _describing(self) -> Iterator[None]:
        """Turn damage within to what describes memory into a sentence.

        :raises DamagedError: if there is such damage
        """
        try:
            yield
        except Exception as e:
            if not is_damage(e):
                raise
            raise DamagedError(
                f"{self.path}: what describes memory (sections, struct page, slab caches)"
                f" is not readable: {e}."
            ) from None

    def survey(self, progress: Progress | None = None, *, graph: bool = True) -> None:
        """Read all memory once for several stages: attribution, object totals, graph.

        Each of them reads it by itself if it is asked for alone.

        :param graph: whether the graph will be asked for, too
        :raises DamagedError: if the dump lacks what describes its memory
        """
        from ..analysis.attribution import Attributor
        from ..analysis.stacks import StackAdder
        from ..analysis.totals import ObjectAdder
        from ..analysis.zombies import ZombieAdder

        adders: list[type[Adder[Any]]] = [Attributor, ObjectAdder, ZombieAdder]
        if self.pagemap.stacks:
            adders.append(StackAdder)
        others: list[Visitor] = []
        if graph:
            self._heap = self._heap_builder()
            others.append(self._heap)
        self._described(lambda: self._passes.read(adders, progress, others))

    @cached_property
    def _passes(self) -> Passes:
        from .passes import Passes

        return Passes(self.pagemap)

    def attribution(self, progress: Progress | None = None) -> Attribution:
        """The memory of each of :attr:`origins`: one pass over all memory.

        :raises DamagedError: if the dump lacks what describes its memory
        """
        from ..analysis.attribution import Attributor

        return self._described(lambda: self._passes.of(Attributor, progress))

    def object_totals(self, progress: Progress | None = None) -> ObjectTotals:
        """Objects by origin and slab cache.

        :raises DamagedError: if the dump lacks what describes its memory
        """
        from ..analysis.totals import ObjectAdder

        return self._described(lambda: self._passes.of(ObjectAdder, progress))

    def stack_use(self, progress: Progress | None = None) -> StackUse:
        """Memory by the stacks that allocated it; nothing where the kernel kept none.

        :raises DamagedError: if the dump lacks what describes its memory
        """
        from ..analysis.stacks import StackAdder, StackUse

        if not self.pagemap.stacks:
            return StackUse.none()
        return self._described(lambda: self._passes.of(StackAdder, progress))

    def zombies(self, progress: Progress | None = None) -> Zombies:
        """Memory that is charged to memory cgroups which were removed.

        :raises DamagedError: if the dump lacks what describes its memory
        """
        from ..analysis.zombies import ZombieAdder

        return self._described(lambda: self._passes.of(ZombieAdder, progress))

    def audit(self, progress: Progress | None = None) -> Audit:
        """Counters against memory."""
        from dataclasses import replace

        from ..analysis.audit import audit
        from ..kernel.bugs import Bug, tags_beyond_index
        from ..kernel.mm.percpu import cgroup_pointers
        from ..kernel.tags.codetag import describe_tag

        report, bugs = self.report(), self.bugs
        found = self.attribution(progress).of_tags(len(report.sites))
        moved = None
        if self.state == "running":
            moved = self._moved(report.sites)
            # What was freed under the reading left anything behind, tags or not.
            strays = {a: n for a, n in found.strays.items() if describe_tag(self.prog, a)}
            found = replace(found, strays=strays)
        return audit(
            report.sites,
            found,
            moved=moved,
            cpus=self.possible_cpus,
            cgroup_pointers=cgroup_pointers(self.prog),
            profiling=report.origin.profiling,
            completeness=report.completeness,
            bugs=bugs,
            unnamed=tags_beyond_index(self.kernel) if Bug.UNNAMED_TAGS in bugs else (0, 0),
        )

    def usage(self, progress: Progress | None = None, by: str | None = None) -> Node:
        """All memory: a tree that adds up to every page.

        :param by: ``cgroup`` or ``node``: each that is charged, or that memory lies on, is a tree
            of its own
        """
        from ..analysis.attribution import Attributor
        from ..analysis.divided import Divider, by_cgroup, by_node
        from ..analysis.usage import divided, usage
        from ..kernel.machine.huge_pools import huge_pools
        from ..kernel.machine.memory_counters import memory_counters
        from ..kernel.machine.vmstat import VmStat
        from ..kernel.tags.cost import profiler_cost

        pools = huge_pools(self.prog)
        counters = memory_counters(VmStat(self.kernel), self.kernel.page, pools)
        cost = profiler_cost(self.kernel, self.sites)
        if by is None:
            return usage(self.origins, self.attribution(progress), counters, cost)
        pagemap = self.pagemap
        divider = Divider(
            pagemap, by_node(self.zones.found) if by == "node" else by_cgroup(pagemap)
        )
        self._described(lambda: pagemap.show(divider, progress=progress))
        whole = divider.result()
        self._passes.keep(Attributor, whole)
        parts = divider.parts(whole, self.origins)
        return divided(self.origins, whole, parts, counters, cost)

    def fragmentation(
        self, order: int | None = None, progress: Progress | None = None
    ) -> Fragmentation:
        """Free blocks by zone, and what stands in the way of blocks of an order.

        :param order: logarithm of the pages of a block; by default, that of huge pages
        """
        from ..analysis.fragmentation import BlockAdder, fragmentation
        from ..kernel.machine.free_lists import free_lists
        from ..kernel.machine.zones import zone_states

        origins, pagemap = self.origins, self.pagemap
        if order is None:
            order = self.kernel.page.table_order
        adder = BlockAdder(pagemap, order, len(origins))
        self._described(lambda: pagemap.show(adder, progress=progress))
        states, problems = zone_states(self.kernel)
        lists, more = self._described(lambda: free_lists(self.kernel))
        found = list(dict.fromkeys([*pagemap.problems(), *problems, *more]))
        return fragmentation(adder, self.zones.found, states, lists, origins, found)

    def pages(self, progress: Progress | None = None) -> Batches[PageBatch]:
        """All allocations of pages, in batches of numpy columns."""
        from ..kernel.mm.allocations import page_batches

        pagemap = self.pagemap
        problems: list[Problem] = []

        def batches() -> Iterator[PageBatch]:
            with self._describing():
                yield from page_batches(pagemap, progress)
            problems[:] = pagemap.frames.problems

        return Batches(batches, problems)

    def objects(self) -> ObjectReader:
        """All slab and per-CPU objects in use; iterate for batches of columns."""
        from ..kernel.mm.allocations import ObjectReader

        return ObjectReader(self.pagemap)

    @cached_property
    def names(self) -> Names:
        """Whatever rows and indexes of allocations stand for, for :func:`.groups.group`."""
        from ..analysis.keys import Names
        from ..kernel.stacks.names import StackNames

        pagemap = self.pagemap
        zones = self.zones.found
        stacks = StackNames(pagemap.stacks, pagemap.origins.code)
        cgroups = pagemap.charges.cgroups
        return Names(
            self.origins, pagemap.caches, zones, cgroups, stacks, holders=self.holder_kinds
        )

    def vmalloc_areas(self) -> Walked[VmallocUse]:
        """All vmalloc areas with their sites and callers, and what was unreadable.

        :raises DamagedError: if the dump lacks what describes its memory
        """
        return self._vmalloc_areas

    @cached_property
    def _vmalloc_areas(self) -> Walked[VmallocUse]:
        from ..kernel.mm.allocations import vmalloc_uses

        return self._described(lambda: vmalloc_uses(self.pagemap))

    def whois(self, query: Query) -> Location:
        """The memory at an address, its call site, and everything that it is a part of.

        :param query: a number, ``pfn:N``, ``phys:N`` or a symbol; or an int, a pointer of drgn's,
            or an object that is in the kernel's memory
        :raises AddressError: if it is none of these
        """
        found = self._locator.locate(query)
        found.sites = self.origins
        return found

    def referrers(
        self, query: Query, limit: int = 50, progress: Progress | None = None
    ) -> Referrers:
        """Everything that points at the memory around an address: one pass over all memory.

        :param query: as for :meth:`whois`
        :param limit: words to list; the others are summed up
        :raises AddressError: if it is none of these
        """
        return self.all_referrers([query], limit, progress)[0]

    def all_referrers(
        self, queries: Sequence[Query], limit: int = 50, progress: Progress | None = None
    ) -> list[Referrers]:
        """:meth:`referrers` of several addresses, in one pass for all of them.

        :raises AddressError: if one of them is no address
        """
        from ..analysis.referrers import find_referrers
        from ..graph.holders import Holders
        from ..graph.page_table_entries import PageTableEntries
        from ..graph.pointer_grep import PointerGrep
        from ..graph.targets import Targets

        locator, symbols = self._locator, self._symbols
        targets = Targets(locator, symbols)
        grep = PointerGrep(self.pagemap, [targets.of(locator.locate(query)) for query in queries])

        def search() -> list[Referrers]:
            self.pagemap.show(grep, progress=progress)
            if progress:
                progress(Phase.VARIABLES, 0, 1)
            grep.code()
            grep.tasks()
            holders = Holders(self.pagemap, locator, symbols)
            entries = PageTableEntries(self.pagemap.kernel)
            return find_referrers(grep, holders, entries, limit, self.origins)

        return self._described(search)

    @cached_property
    def _symbols(self) -> Symbols:
        from ..graph.symbols import Symbols

        return Symbols(self.kernel)

    @cached_property
    def _locator(self) -> Locator:
        from ..kernel.mm.whois import Locator

        return self._described(lambda: Locator(self.pagemap))

    # Pointers

    def graph(self, progress: Progress | None = None) -> Graph:
        """All allocations and the pointers between them, for leaks, retained and paths.

        :raises DamagedError: if the dump lacks what describes its memory
        """
        if self._graph is None:
            from ..graph.edges import read_graph

            origins = self.origins

            def read() -> Graph:
                builder, self._heap = self._heap, None
                if builder is None:
                    builder = self._heap_builder()
                    self.pagemap.show(builder, progress=progress)
                return read_graph(builder, origins, progress)

            self._graph = self._described(read)
        return self._graph

    def _heap_builder(self) -> HeapBuilder:
        from ..graph.build import HeapBuilder

        return HeapBuilder(self.pagemap, self.origins.role)

    def reach(self, progress: Progress | None = None) -> Reach:
        """The allocations that roots reach."""
        if self._reach is None:
            from ..analysis.reach import reach

            graph = self.graph(progress)
            if progress:
                progress(Phase.FOLLOWING, 0, 1)
            self._reach = reach(graph)
        return self._reach

    def holder_kinds(self, progress: Progress | None = None) -> HolderKinds:
        """The kind of what holds each allocation, for those of sites that allocate for others."""
        reached = self.reach(progress)
        if self._holder_kinds is None:
            from ..analysis.holder_kinds import HolderKinds

            self._holder_kinds = HolderKinds(reached, self.origins)
        return self._holder_kinds

    def wrappers(self, progress: Progress | None = None) -> Wrappers:
        """Signs of origins that allocate for others: sizes and holders of their allocations."""
        from ..analysis.wrappers import of_holders

        return of_holders(self.holder_kinds(progress))

    def leaks(self, progress: Progress | None = None) -> Leaks:
        """Memory that nothing points at any more, by origin.

        A running kernel is read twice: memory that is lost both times is not just on its way.
        """
        running = self.state == "running"
        earlier = self._earlier(progress) if running else None
        reached = self.reach(progress)
        from ..analysis.leaks import leaks

        moving = running or self.may_be_torn
        return leaks(reached, self.origins, moving=moving, earlier=earlier)

    def memory(self, progress: Progress | None = None) -> Iterator[tuple[Allocations, Sums]]:
        """All memory with an origin, every byte once, in batches: see :mod:`..analysis.memory`."""
        from ..analysis.memory import memory

        return memory(
            self.origins,
            self.pages(progress),
            self.objects(),
            kernel=self.kernel,
        )

    def placed(self, nodes: Nodes, progress: Progress | None = None) -> Placed:
        """Nodes of the graph as allocations, to be added up by keys; reads all memory again."""
        from ..analysis.placed import placed

        pagemap = self.pagemap
        return self._described(lambda: placed(nodes, pagemap, self.pages(progress), self.objects()))

    def _earlier(self, progress: Progress | None) -> Earlier:
        """Lost allocations by a reading of its own, of which nothing else is kept."""
        once = Session(self.source)
        reached = once.reach(progress)
        from ..analysis.leaks import Earlier

        return Earlier.of(reached, once.origins)

    def dominators(self, progress: Progress | None = None) -> Dominators:
        """Holders that keep memory alive: the dominator tree of all nodes that roots reach."""
        reached = self.reach(progress)
        if self._dominators is None:
            from ..analysis.dominators import dominators

            self._dominators = dominators(reached)
        return self._dominators

    def paths(self, query: Query, limit: int = 1, progress: Progress | None = None) -> Paths:
        """The shortest ways from roots to the allocation at an address.

        :param query: as for :meth:`whois`
        :raises AddressError: if it is none of these
        """
        from ..kernel.mm.whois import in_words

        query = in_words(query)
        address = self._locator.parse(query)
        reached = self.reach(progress)
        from ..analysis.paths import Paths, find_paths, node_at

        node = node_at(reached.graph, address)
        found = [] if node is None else find_paths(reached, node, limit)
        return Paths(query, address, node, found, reached.graph.sites)

    # All of it

    def triage(self, progress: Progress | None = None, top: int | None = None) -> Triage:
        """Triage: from a dead machine to the suspect; goes on where something is missing.

        :param top: rows of each table; None is all
        :raises UnsupportedError: if the page size or architecture of the kernel is not known
        """
        from ..triage import triage
        from .evidence import investigate

        _ = self.kernel.arch
        return triage(investigate(self, progress), top)


def _no_profile(origin: Origin) -> ProfilingError:
    """The sentence that says why there is no profile, and which commands work all the same."""
    others = ", ".join(WITHOUT_PROFILE[:-1]) + f" and {WITHOUT_PROFILE[-1]}"
    if origin.profiling.state == "not built in":
        return ProfilingError(
            f"{origin.core}: the kernel was built without CONFIG_MEM_ALLOC_PROFILING (Linux 6.10 or"
            f" later), so no call site has a counter; {others} work without."
        )
    return ProfilingError(
        f"{origin.core}: allocation profiling was never enabled on this machine, so no call site"
        f" has a counter; {others} work without, or boot with sysctl.vm.mem_profiling=1."
    )
