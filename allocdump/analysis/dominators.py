# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holders that keep memory alive: dominators of allocations, from the roots on.

A holder *retains* what would be lost with it: what is reached through it alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..arrays import I32, Int, Values, ends, sum_by
from ..graph.edges import Graph
from ..graph.roots import Tier
from ..result import Result, column
from .dominator_tree import immediate_dominators, subtree_sums
from .reach import Reach
from .search import Search

TOP = -1
"""Dominator of roots, and of nodes reached from several roots."""


@dataclass
class Dominators(Result):
    """The dominator tree over nodes and roots, numbered as in the graph."""

    graph: Graph
    reach: Reach
    parent: I32
    """Immediate dominator, or TOP; -2 for nodes that are not reached. Shape (nodes + roots,)."""
    bytes: Int
    """Retained: its own and those of all that it dominates."""
    allocations: Int

    def to_dict(self) -> dict[str, Values]:
        """Holders as columns, most first, each followed by the sites that it holds.

        ``level`` is 0 for holders, which have no site, and 1 for sites; ``holder`` is empty for
        memory that several share.
        """
        rows = [
            (level, holding, top.root)
            for top in holdings(self, 1)
            for level, holding in ((0, top), *((1, child) for child in top.children))
        ]
        site = [-1 if holding.site is None else holding.site for _, holding, _ in rows]
        roots = ["" if root is None else str(self.graph.roots[root]) for *_, root in rows]
        return {
            "level": column([level for level, *_ in rows]),
            "holder": column(roots),
            "bytes": column([holding.bytes for _, holding, _ in rows]),
            "allocations": column([holding.allocations for _, holding, _ in rows]),
            "site": np.array(site, np.int64),
            **self.graph.sites.names(np.array(site, np.int64)),
        }

    def in_short(self) -> str:
        held = self.parent[: len(self.graph.nodes)] > -2
        size = int(self.graph.nodes.size[held].sum())
        return f"{size:,} bytes that {len(self.graph.roots):,} roots hold"

    def holder(self) -> I32:
        """The root that dominates each node and root; TOP if several reach it."""
        count = len(self.graph.nodes)
        # Nodes below the top stand for themselves; follow the others upwards.
        up = ends(np.where(self.parent < 0, np.arange(len(self.parent)), self.parent))
        return np.where(up >= count, up, TOP).astype(np.int32)


def dominators(reach: Reach) -> Dominators:
    """Build the dominator tree of all nodes that roots reach.

    What a root of one tier reaches, later tiers do not share (:class:`.roots.Tier`); those that
    are unproven hold nothing.
    """
    graph = reach.graph
    nodes, size = len(graph.nodes), len(graph.nodes) + len(graph.roots)
    tier = np.append(reach.tier, np.array([r.tier for r in graph.roots], np.uint8))
    keep = (tier[graph.source] <= tier[graph.target]) & (tier[graph.source] < Tier.UNPROVEN)
    source, target = graph.source[keep], graph.target[keep]
    del keep
    # The top comes first, before all roots; others in the order of a search.
    start = np.unique(source[source >= nodes])
    search = Search(source, target, size)
    order = np.append(np.int32(size), search.go(start))
    place = np.full(size + 1, -1, np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    before = np.append(search.before, np.int32(-1))[order]
    del search
    before = np.where(before < 0, 0, place[before])
    source = place[np.append(source, np.full(len(start), size, np.int32))]
    target = place[np.append(target, start.astype(np.int32))]
    above = immediate_dominators(source, target, before)
    del source, target, before
    parent = np.full(size, -2, np.int32)
    parent[order[1:]] = np.where(above[1:] == 0, TOP, order[above[1:]])
    total = np.zeros((2, size), np.int64)
    none = np.zeros(len(graph.roots) + 1, np.int64)
    for sums, own in zip(total, (graph.nodes.size, graph.nodes.calls), strict=True):
        sums[order[1:]] = subtree_sums(above, np.append(own, none)[order])[1:]
    return Dominators(graph, reach, parent, *total)


@dataclass
class Holding:
    """A holder, or allocations of one site that it holds, and the memory they retain."""

    root: int | None
    """Number among the graph's roots; None for a site, or for :attr:`shared`."""
    site: int | None
    """Row of the site; None for holders."""
    bytes: int
    allocations: int
    children: list[Holding] = field(default_factory=list)

    @property
    def shared(self) -> bool:
        """True for memory that several roots hold together."""
        return self.root is None and self.site is None


def holdings(tree: Dominators, depth: int) -> list[Holding]:
    """List holders, and below them the sites that they hold; most first.

    Allocations of one site that hold one another, like the records of a list, are taken
    together.

    :param depth: levels of sites below the holders
    """
    graph, count = tree.graph, len(tree.graph.nodes)
    roots = count + np.flatnonzero((tree.parent[count:] == TOP) & (tree.bytes[count:] > 0))
    top = [
        Holding(r - count, None, int(tree.bytes[r]), int(tree.allocations[r]))
        for r in roots.tolist()
    ]
    # The holding of each node and root, as far as levels go.
    group = np.full(len(tree.parent), -1, np.int64)
    group[roots] = np.arange(len(roots))
    head = _heads(tree)
    begins = (head == np.arange(count)) & (tree.parent[:count] > -2)
    above = tree.parent[:count].astype(np.int64)
    loose = np.flatnonzero(begins & (above == TOP))
    top.append(
        Holding(None, None, int(tree.bytes[loose].sum()), int(tree.allocations[loose].sum()))
    )
    found = top.copy()
    for _ in range(depth):
        into = np.where(above >= 0, group[above], -1)
        into[loose] = len(roots)
        new = np.flatnonzero(begins & (into >= 0) & (group[:count] < 0))
        pair, which = np.unique(into[new] << 32 | graph.nodes.site[new], return_inverse=True)
        totals = [sum_by(which, c[new]).tolist() for c in (tree.bytes, tree.allocations)]
        first = len(found)
        for key, size, calls in zip(pair.tolist(), *totals, strict=True):
            found.append(Holding(None, key & 0xFFFF_FFFF, size, calls))
            found[key >> 32].children.append(found[-1])
        group[new] = first + which
        # Those further down a chain belong to its holding.
        group[:count] = np.where(group[:count] < 0, group[head], group[:count])
    for holding in found:
        holding.children.sort(key=lambda h: -h.bytes)
    return sorted((h for h in top if h.bytes), key=lambda h: -h.bytes)


def _heads(tree: Dominators) -> Int:
    """For each node, the first of the chain of nodes of one site that dominate one another."""
    count, site = len(tree.graph.nodes), tree.graph.nodes.site
    parent = tree.parent[:count].astype(np.int64)
    inside = (parent >= 0) & (parent < count)
    up = np.arange(count)
    same = np.flatnonzero(inside)
    same = same[site[parent[same]] == site[same]]
    up[same] = parent[same]
    return ends(up)


def nearest_root(reach: Reach) -> I32:
    """The root that reaches each node first; -1 if none does. Shape (nodes,)."""
    count = len(reach.graph.nodes)
    before = reach.before.astype(np.int64)
    up = ends(np.where(before < 0, np.arange(len(before)), before))
    return np.where(up[:count] >= count, up[:count] - count, -1).astype(np.int32)


@dataclass
class Holder:
    """A holder of a site's memory."""

    site: int
    """Row of the site."""
    root: int | None
    """The only root that reaches it; None if several do, or none."""
    nearest: int | None
    """The root that reaches it first; None if none does."""
    bytes: int
    """Of the site's allocations themselves."""
    allocations: int


def holders_of(tree: Dominators, sites: npt.NDArray[np.intp]) -> list[Holder]:
    """List the holders of the memory of the given sites (rows), most first."""
    nodes = tree.graph.nodes
    count, none = len(nodes), len(tree.graph.roots)
    node = np.flatnonzero(np.isin(nodes.site, sites))
    root = tree.holder()[node].astype(np.int64)
    root = np.where(root >= count, root - count, none)
    nearest = nearest_root(tree.reach)[node].astype(np.int64)
    nearest = np.where(nearest >= 0, nearest, none)
    key = (nodes.site[node].astype(np.int64) * (none + 1) + root) * (none + 1) + nearest
    keys, which = np.unique(key, return_inverse=True)
    size, calls = (sum_by(which, c[node]) for c in (nodes.size, nodes.calls))
    found = []
    for i, k in enumerate(keys.tolist()):
        r, n = k // (none + 1) % (none + 1), k % (none + 1)
        found.append(
            Holder(
                k // (none + 1) ** 2,
                None if r == none else r,
                None if n == none else n,
                int(size[i]),
                int(calls[i]),
            )
        )
    return sorted(found, key=lambda h: -h.bytes)
