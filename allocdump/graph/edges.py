# SPDX-License-Identifier: LGPL-2.1-or-later
"""The graph of all allocations: who points into whom."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..arrays import Bool
from ..kernel.mm.origins import Origins
from ..kernel.tags.references import NONE
from ..kernel.tags.roles import Role
from ..kernel.tags.sites import Sites
from ..progress import Phase, Progress
from ..result import Result, Values
from ..text import some
from . import disguised
from .build import HeapBuilder
from .cached_bios import cached_bios
from .folio_batches import unused_slots
from .free_requests import free_requests
from .kernel_code import kernel_code
from .nodes import Nodes, Spans
from .p9_channels import used_scatter_lists
from .roots import Root
from .scan import Scanner
from .task_roots import scan_tasks
from .variable_roots import scan_variables


@dataclass(frozen=True)
class Graph(Result):
    """Allocations, roots, and the pointers between them.

    Nodes come first in the numbering, the roots follow.
    """

    nodes: Nodes
    roots: list[Root]
    source: npt.NDArray[np.int32]
    """Node or root that points: shape (links,), ascending, no pair twice."""
    target: npt.NDArray[np.int32]
    """Node that it points into."""
    exact: Bool
    """Nodes whose first byte is pointed at: shape (nodes,)."""
    torn: npt.NDArray[np.int32]
    """Nodes and roots of which a part is not in the dump: who knows what it points at."""
    blind: list[str]
    """Sentences on memory that is not in the dump and that no node or root stands for."""
    scanner: Scanner
    """Finds pointers again, for those who ask where one is."""
    unknown: int = NONE
    """Row of the origin of pages of unknown use."""
    behind: int = NONE
    """Row of the origin of those that may be tails of ones that are held."""
    sites: Sites = field(default_factory=Sites.none)
    """Those that nodes name by their rows."""
    mentioned: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    """Nodes of pages whose physical address some word is, ascending."""

    def to_dict(self) -> dict[str, Values]:
        """The nodes as columns, with the names of their sites."""
        return self.sites.names(self.nodes.site) | self.nodes.to_dict()

    def in_short(self) -> str:
        nodes, roots, links = (len(part) for part in (self.nodes, self.roots, self.source))
        return f"{nodes:,} allocations, {roots:,} roots, {links:,} pointers"

    def is_root(self, number: int) -> bool:
        """Tell roots from nodes by their number."""
        return number >= len(self.nodes)

    def root(self, number: int) -> Root:
        """The root of a number."""
        return self.roots[self.root_index(number)]

    def root_index(self, number: int) -> int:
        """Index in :attr:`roots` of the root of a number."""
        return number - len(self.nodes)


def read_graph(builder: HeapBuilder, sites: Origins, progress: Progress | None = None) -> Graph:
    """Read all memory that may hold pointers.

    :param builder: that all parts of the page map were shown to
    :raises LookupError: if the kernel's types lack what this needs
    """
    kernel = builder.kernel
    if progress:
        progress(Phase.POINTERS, 0, builder.pagemap.pages)
    heap = builder.result()
    scanner = Scanner(kernel, heap, sites.address)
    blind = heap.problems.copy()
    if heap.unreadable_frames:
        blind.append(
            some(heap.unreadable_frames, "struct page is", "struct pages are") + " not in the dump"
        )
    found = builder.pagemap.sheaves
    kcore, problems = disguised.kcore_ranges(kernel.prog)
    known, unreadable = disguised.bookkeeping(kernel.prog, heap.areas)
    problems += found.problems + unreadable
    blind += dict.fromkeys(text for text in map(str, problems) if text not in blind)
    scanner.stale = Spans.join(
        disguised.stale_ends(found),
        known,
        disguised.leak_detector(kernel.prog, heap),
        disguised.recent_allocations(kernel.prog),
        kcore,
        disguised.loaded_kernels(kernel.prog),
        disguised.watched_objects(kernel),
        unused_slots(kernel),
        cached_bios(kernel),
        free_requests(kernel),
        used_scatter_lists(kernel),
    )
    disguised.page_extensions(scanner)
    disguised.page_tables(scanner)
    disguised.vmalloc_areas(scanner)
    disguised.mapped_areas(scanner)
    disguised.dead_stacks(scanner, np.flatnonzero(sites.role == Role.STACK))
    loaded = disguised.loaded_module_areas(scanner)
    heap.skip(loaded)
    disguised.unloaded_modules(scanner, sites.address[sites.unloaded], loaded)
    scanner.contents(progress)
    scanner.percpu()
    if scanner.percpu_holes:
        blind.append(
            some(scanner.percpu_holes, "page of per-CPU memory is", "pages of per-CPU memory are")
            + " not in the dump"
        )
    if progress:
        progress(Phase.VARIABLES, 0, 1)
    kernel_code(scanner, sites)
    builder.nfs.scan(scanner, sites)
    blind += map(str, builder.nfs.problems)
    blind += scan_variables(scanner) + scan_tasks(scanner)
    own = sites.module == ""
    vmcoreinfo_sites = np.flatnonzero(own & (sites.function == "crash_save_vmcoreinfo_init"))
    disguised.replaced_vmcoreinfo(scanner, vmcoreinfo_sites, builder.pagemap.origins.unknown)
    source, target = scanner.links.pairs()
    return Graph(
        nodes=heap.nodes,
        roots=heap.roots.all,
        source=source,
        target=target,
        exact=scanner.exact,
        torn=scanner.torn(),
        blind=blind,
        scanner=scanner,
        unknown=builder.pagemap.origins.unknown,
        behind=builder.pagemap.origins.behind,
        sites=sites,
        mentioned=scanner.mentioned(),
    )
