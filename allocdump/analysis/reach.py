# SPDX-License-Identifier: LGPL-2.1-or-later
"""Allocations that roots reach, and the ways there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..arrays import I32, Bool, ranges
from ..graph.edges import Graph
from ..graph.nodes import NodeKind
from ..graph.physical import explained, table_links
from ..graph.roots import Tier
from ..result import Result, Values
from ..text import some
from .search import Search

NEVER = len(Tier)
"""Value of :attr:`Reach.tier` for nodes that no root reaches."""


class Verdict(IntEnum):
    """Verdicts on an allocation."""

    HELD = 0
    """A root reaches it."""
    LOST = 1
    """Nothing reaches it."""
    UNDECIDED = 2
    """Nothing is seen to reach it, but something that is not shown there might, or a page before
    it holds it."""


@dataclass
class Reach(Result):
    """The part of a graph that roots reach."""

    graph: Graph
    tier: npt.NDArray[np.uint8]
    """The first :class:`Tier` of roots that reaches each node; NEVER. Shape (nodes,)."""
    before: I32
    """The node or root before each node on the shortest way from a root of that tier; -1.
    Shape (nodes + roots,)."""
    reasons: list[str]
    """Reasons for calling nothing lost; empty if there are none."""
    doubtful: Bool
    """Nodes that may be held by a page that is held itself: tails of ``alloc_pages_exact()`` that
    nothing tells from other pages, and what they point at. Shape (nodes,)."""

    @cached_property
    def verdict(self) -> npt.NDArray[np.uint8]:
        """A :class:`Verdict` of each node."""
        bad = np.where(bool(self.reasons) | self.doubtful, Verdict.UNDECIDED, Verdict.LOST)
        held = np.where(self.tier == Tier.UNPROVEN, Verdict.UNDECIDED, Verdict.HELD)
        return np.where(self.tier == NEVER, bad, held).astype(np.uint8)

    @property
    def obscured(self) -> int:
        """Bytes of allocations that no root reaches, or of which parts are not in the dump."""
        some = self.tier == NEVER
        some[self.graph.torn[self.graph.torn < len(some)]] = True
        return int(self.graph.nodes.size[some].sum())

    def doubt(self, node: int) -> str:
        """The reason why a node is undecided; empty if it is not."""
        if self.tier[node] == Tier.UNPROVEN:
            return f"{self.graph.root(self.way(node)[0]).name} may point at it"
        if self.tier[node] < NEVER:
            return ""
        if self.reasons:
            return "memory that is not in the dump may point at it"
        if self.doubtful[node]:
            return "it may be a part of a page before it that is held, or held by such a part"
        return ""

    def to_dict(self) -> dict[str, Values]:
        """The nodes as columns, with the names of their sites."""
        return self.graph.to_dict() | {"tier": self.tier, "verdict": self.verdict}

    def in_short(self) -> str:
        held = int(np.count_nonzero(self.verdict == Verdict.HELD))
        others = "undecided" if self.reasons else "lost"
        return f"{held:,} allocations held, {len(self.verdict) - held:,} {others}"

    def way(self, node: int) -> list[int]:
        """Nodes on the shortest way to a node, from the root on; empty if there is none."""
        if self.tier[node] == NEVER:
            return []
        found = [node]
        while (before := int(self.before[found[-1]])) >= 0:
            found.append(before)
        return found[::-1]


def reach(graph: Graph) -> Reach:
    """Search from all roots, those that say most first."""
    count = len(graph.nodes)
    tiers = np.array([root.tier for root in graph.roots], np.uint8)
    found = _search(graph, tiers)
    tails = exact_tails(graph, found[0] < Tier.UNPROVEN)
    if len(tails.perhaps):
        site = graph.nodes.site.copy()
        site[tails.perhaps] = graph.behind
        graph = replace(graph, nodes=replace(graph.nodes, site=site))
    if len(tails.target):
        graph = _with(graph, tails.source, tails.target)
        found = _search(graph, tiers)
    for links in table_links, mentions:
        source, target = links(graph, found[0] < Tier.UNPROVEN)
        if len(source):
            graph = _with(graph, source, target)
            found = _search(graph, tiers)
    tier, before = found
    doubtful = _led_by(graph, tails.perhaps)
    alive = np.append(tier < NEVER, np.ones(len(graph.roots), np.bool_))
    torn = int(np.count_nonzero(alive[graph.torn]))
    reasons = list(graph.blind)
    if torn:
        reasons.append(
            "parts of "
            + some(torn, "allocation", "allocations")
            + " that may hold pointers are not in the dump"
        )
    return Reach(graph, tier[:count], before, reasons, doubtful)


def _led_by(graph: Graph, nodes: I32) -> Bool:
    """Mark nodes, and all that can be reached from them: shape (nodes,)."""
    search = Search(graph.source, graph.target, len(graph.nodes) + len(graph.roots))
    search.go(nodes)
    return search.reached[: len(graph.nodes)]


def _with(graph: Graph, source: I32, target: I32) -> Graph:
    """The graph with some more links."""
    order = np.argsort(source, kind="stable")
    source, target = source[order], target[order]
    at = np.searchsorted(graph.source, source, side="right")
    return replace(
        graph,
        source=np.insert(graph.source, at, source),
        target=np.insert(graph.target, at, target),
    )


def mentions(graph: Graph, reached: Bool) -> tuple[I32, I32]:
    """Links to pages that may be held by physical address: see :func:`.physical.explained`.

    :param reached: shape (nodes,)
    """
    target = explained(graph, reached, graph.mentioned)
    if not len(target):
        return target, target
    root = graph.scanner.links.number(np.array([graph.scanner.physical_root], np.int32))
    return np.repeat(root, len(target)), target


def _search(graph: Graph, tiers: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], I32]:
    """Tier and predecessor of each node: the search goes on from the roots of each tier."""
    nodes, size = len(graph.nodes), len(graph.nodes) + len(graph.roots)
    search = Search(graph.source, graph.target, size)
    tier = np.full(size, NEVER, np.uint8)
    for level in Tier:
        tier[search.go(nodes + np.flatnonzero(tiers == level))] = level
    return tier[:nodes], search.before


@dataclass
class ExactTails:
    """Pages that are lost, but follow a page that is held: see :func:`exact_tails`."""

    source: I32
    """The page before, of those that are its tails."""
    target: I32
    """Those: shape (n,)."""
    perhaps: I32
    """Pages that may be tails."""


def exact_tails(graph: Graph, reached: Bool) -> ExactTails:
    """Links from pages to those after them that ``alloc_pages_exact()`` allocated with them.

    It splits a block, so each page has a reference of its own, but only the first one is
    pointed at. Nothing marks such pages. A site is taken for one that allocates so if this
    explains all pages of it that seem lost: each follows, within an aligned block, a page
    that is reached and whose first byte is pointed at. Among pages without a site, it is
    those that were tails when they were allocated; others there may be.

    :param reached: shape (nodes,)
    """
    nodes = graph.nodes
    heap = graph.scanner.heap
    size = heap.page.bytes
    page = np.flatnonzero((nodes.kind == NodeKind.PAGES) & (nodes.size == size))
    page = page[np.argsort(nodes.address[page])]
    if not len(page):
        return ExactTails(*np.zeros((3, 0), np.int32))
    address, site = nodes.address[page], nodes.site[page]
    follows = (np.diff(address) == size) & (site[1:] == site[:-1])
    index = np.arange(len(page))
    end = np.minimum.accumulate(np.where(np.append(~follows, True), index + 1, len(page))[::-1])[
        ::-1
    ]
    frame = heap.frames_of(address)
    aligned = np.minimum(frame & -frame, 1 << graph.scanner.kernel.max_order)
    head = np.flatnonzero(reached[page] & graph.exact[page])
    length = np.minimum(aligned[head], end[head] - head) - 1
    first = np.repeat(head, length)
    tail = first + 1 + ranges(length)
    explained = np.zeros(len(page), np.bool_)
    explained[tail] = True
    unexplained = np.unique(site[~reached[page] & ~explained])
    lost, untold = ~reached[page[tail]], site[tail] == graph.unknown
    sure = np.where(untold, nodes.tail[page[tail]], ~np.isin(site[tail], unexplained))
    wanted = lost & sure
    return ExactTails(
        page[first[wanted]].astype(np.int32),
        page[tail[wanted]].astype(np.int32),
        np.unique(page[tail[lost & untold & ~sure]]).astype(np.int32),
    )
