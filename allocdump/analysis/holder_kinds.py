# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kinds of holders: by them, the allocations of a site that allocates for others can be told apart.

A counter tells the line that called the allocator, memory does not tell who called that line. But
whoever did keeps a pointer: the holder of an allocation is the nearest one before it, on the
shortest way from a root, that is not of its own site. Its kind is its own call site or other
origin, or what sort of root it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrays import I32, Int, ends
from ..graph.nodes import NOTHING, NodeKind
from ..graph.roots import Root, Tier
from ..kernel.mm.page_types import PageKind
from ..kernel.tags.sites import Sites
from .keys import PERCPU, Allocations
from .leaks import heads_of
from .reach import NEVER, Reach, Verdict

if TYPE_CHECKING:
    from ..graph.nodes import Codes

NOTHING_SEEN = "(nothing seen)"
"""Stands for the holder of memory that nothing is seen to point at."""
NOT_SEARCHED = "(not searched for)"
"""Stands for that of memory which is no allocation that was judged."""

_OF_ROOTS = {
    "kernel": "variables of the kernel",
    "per-CPU": "per-CPU variables",
    "task": "tasks",
}


class HolderKinds:
    """The kind of the holder of each allocation."""

    def __init__(self, reach: Reach, sites: Sites) -> None:
        graph = reach.graph
        self.heap, self._nodes, self._sites = graph.scanner.heap, graph.nodes, sites
        self._names: dict[str, int] = {}
        self._roots = np.array([self._code(root.name) for root in self.heap.roots.all], np.int64)
        self.code = self._of_nodes(reach)
        """Code of the kind of each node's holder, for :meth:`label`: shape (nodes,)."""

    def __repr__(self) -> str:
        return f"<HolderKinds: {len(np.unique(self.code)):,} kinds>"

    def _code(self, name: str) -> int:
        """The number of a kind that is no origin."""
        return self._names.setdefault(name, len(self._sites) + len(self._names))

    def label(self, code: int) -> str:
        """A kind in words."""
        if code < len(self._sites):
            return self._sites.label(code)
        return list(self._names)[code - len(self._sites)]

    def _of_nodes(self, reach: Reach) -> Int:
        graph, site, count = reach.graph, self._nodes.site, len(self._nodes)
        kind = np.append(site, [self._code(_kind(root)) for root in graph.roots])
        before = reach.before.astype(np.int64)
        index = np.arange(len(before))
        # Those of one site on the way, as a list of them, are passed.
        own = (before >= 0) & (kind[before] == kind) & (index < count)
        holder = before[ends(np.where(own, before, index))][:count]
        nothing = self._code(NOTHING_SEEN)
        code = np.where(holder >= 0, kind[holder], nothing)
        lost, head = heads_of(graph, reach.verdict != Verdict.HELD, self._sites)
        with_others = (reach.tier[lost] == NEVER) & (site[lost] != site[head])
        code[lost[with_others]] = site[head[with_others]]
        return code

    def codes(self, allocations: Allocations) -> Int:
        """Code of the kind of the holder of each allocation: shape (allocations,)."""
        node = self._numbers(allocations)
        out = np.full(len(node), self._code(NOT_SEARCHED), np.int64)
        out[node >= 0] = self.code[node[node >= 0]]
        root = node < NOTHING
        out[root] = self._roots[-2 - node[root]]
        return out

    def _numbers(self, allocations: Allocations) -> Codes:
        """Numbers of nodes and roots of the heap, as :class:`.nodes.Heap` has them."""
        percpu, slab = allocations.kind == PERCPU, allocations.kind == PageKind.SLAB
        pages = ~percpu & ~slab
        objects = slab & (allocations.cache >= 0)
        out: I32 = np.full(len(allocations), NOTHING, np.int32)
        out[percpu] = self.heap.percpu.find(allocations.address[percpu])
        out[objects] = self.heap.at(allocations.address[objects])
        out[pages] = self.heap.of_pages(allocations.pfn[pages])
        return out

    def count(self) -> Int:
        """Number of kinds that hold allocations of each origin: shape (origins,).

        Those that nothing is seen to hold do not count.
        """
        held = self.code != self._code(NOTHING_SEEN)
        kinds = len(self._sites) + len(self._names)
        pairs = np.unique(self._nodes.site[held].astype(np.int64) * kinds + self.code[held])
        return np.bincount(pairs // kinds, minlength=len(self._sites))

    def sizes(self) -> Int:
        """Number of slab caches that objects of each origin are from: shape (origins,)."""
        objects = self._nodes.take(self._nodes.kind == NodeKind.OBJECT)
        cache = self.heap.caches_at(objects.address).astype(np.int64)
        caches = len(self.heap.caches) + 1
        pairs = np.unique(objects.site.astype(np.int64) * caches + cache + 1)
        return np.bincount(pairs // caches, minlength=len(self._sites))


def _kind(root: Root) -> str:
    """The sort of a root, in words."""
    if root.tier == Tier.NAMED:
        module = root.where.partition(" ")[0]
        return _OF_ROOTS.get(root.where, f"variables of {module}" if module else root.name)
    return "stacks and registers" if root.tier == Tier.STACK else root.name
