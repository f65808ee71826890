# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that nothing points at any more, by call site or other origin."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from ..arrays import I32, U64, Bool, Columns, Int, ends
from ..confidence import Confidence
from ..graph.edges import Graph
from ..graph.nodes import NodeKind, Nodes
from ..kernel.tags.sites import Sites
from ..result import Result, Values
from .components import strong_components
from .reach import Reach, Verdict
from .search import Search

_MANY = 16
"""A number of heads of one site that cannot all be hidden by chance: each would need a hidden
pointer of its own. What is lost with them would need none."""


class LeakConfidence(StrEnum):
    """Confidence that lost memory of a site is leaked; two words say that nothing is claimed."""

    CERTAIN = Confidence.CERTAIN.words
    VERY_LIKELY = Confidence.VERY_LIKELY.words
    LIKELY = Confidence.LIKELY.words
    POSSIBLE = Confidence.POSSIBLE.words
    UNDECIDED = "undecided"
    EXPECTED = "expected"
    """The kernel drops these pointers on purpose."""


SURE = [LeakConfidence.CERTAIN, LeakConfidence.VERY_LIKELY, LeakConfidence.LIKELY]
"""Degrees that only memory that stands still can have."""

EXPECTED = {
    "__register_sysctl_table": "headers of empty sysctl directories are never unregistered",
}
"""Functions of the kernel whose allocations nothing points at although all is well:
``register_sysctl_mount_point()`` in fs/proc/proc_sysctl.c."""


@dataclass
class Lost(Columns):
    """Origins with lost memory, most first, then those with undecided memory; columns of one
    length."""

    site: I32
    """Row of the site."""
    bytes: Int
    """Lost, or undecided."""
    allocations: Int
    held_bytes: Int
    held_allocations: Int
    heads: Int
    """Lost allocations that no other lost one points at: the leak itself, most likely."""
    chief: I32
    """Row of the site at the head of most of its lost allocations: itself if that has heads."""
    cluster_bytes: Int
    """Bytes of all allocations lost with them: those that they point at, and so on."""
    cluster_allocations: Int
    confidence: npt.NDArray[np.object_]
    reason: npt.NDArray[np.object_]


@dataclass
class Leaks(Result):
    """Result of :func:`leaks`."""

    graph: Graph
    lost: Lost
    node: Int
    """Lost allocations, ascending: shape (lost allocations,)."""
    head: Int
    """Head of the cluster of each lost allocation; the allocation itself, if it is the head."""
    is_lost: Bool
    """False for those of them that are undecided."""
    reasons: list[str]
    """Reasons for calling all lost memory only undecided; empty if there are none."""
    total_bytes: int
    """Of all allocations that were judged."""
    total_allocations: int

    @property
    def decided(self) -> Lost:
        """The rows of what is called lost."""
        return self.lost.take(self.lost.confidence != LeakConfidence.UNDECIDED)

    @property
    def undecided(self) -> Lost:
        """The other rows."""
        return self.lost.take(self.lost.confidence == LeakConfidence.UNDECIDED)

    def to_dict(self) -> dict[str, Values]:
        """The sites with lost memory as columns, with their names."""
        return self.graph.sites.names(self.lost.site) | self.lost.to_dict()

    def in_short(self) -> str:
        lost = self.lost if self.reasons else self.decided
        size, count = int(lost.bytes.sum()), len(lost)
        return (
            f"{size:,} of {self.total_bytes:,} bytes {'undecided' if self.reasons else 'lost'},"
            f" of {count:,} {'site' if count == 1 else 'sites'}"
        )


@dataclass(frozen=True)
class Earlier:
    """Allocations that an earlier reading of a running kernel found lost.

    Columns of shape (number of these,), by ascending address.
    """

    address: U64
    tag: U64
    """Address of the tag of their site, whose row may have changed since."""

    @classmethod
    def of(cls, reach: Reach, sites: Sites) -> Earlier:
        """The lost allocations of a reading, of which nothing else is kept."""
        nodes = reach.graph.nodes.take(reach.verdict != Verdict.HELD)
        nodes = nodes.take(np.argsort(nodes.address, kind="stable"))
        return cls(nodes.address, sites.address[nodes.site])

    def has(self, nodes: Nodes, sites: Sites) -> Bool:
        """Mark allocations that were there, at the same site, and lost: shape (nodes,)."""
        if not len(self.address):
            return np.zeros(len(nodes), np.bool_)
        at = np.searchsorted(self.address, nodes.address).clip(max=len(self.address) - 1)
        same: Bool = self.address[at] == nodes.address
        same &= self.tag[at] == sites.address[nodes.site]
        return same


def leaks(
    reach: Reach, sites: Sites, *, moving: bool = False, earlier: Earlier | None = None
) -> Leaks:
    """Sum up by site the memory that no root reaches.

    :param moving: whether the kernel ran while it was read: what is on its way from one owner
        to another then looks lost, and no confidence is more than low
    :param earlier: an earlier reading of the same kernel: only what was lost then, too, is
        lost, and keeps its confidence
    """
    graph = reach.graph
    nodes = graph.nodes
    lost = reach.verdict != Verdict.HELD
    if earlier is not None:
        lost &= earlier.has(nodes, sites)
    node, head = heads_of(graph, lost, sites)
    decided = reach.verdict[node] == Verdict.LOST
    sure = _sums(nodes, lost, len(sites), node[decided], head[decided])
    _judge_all(sure, sites)
    if moving and earlier is None:
        moved = np.isin(sure.confidence, SURE)
        sure.confidence[moved] = LeakConfidence.POSSIBLE
        sure.reason[moved] = "the kernel ran while it was read, once"
    expected = sure.confidence == LeakConfidence.EXPECTED
    sure = sure.take(np.argsort(expected, kind="stable"))
    unsure = _sums(nodes, lost, len(sites), node[~decided], head[~decided])
    unsure.confidence[:] = LeakConfidence.UNDECIDED
    site, first = np.unique(nodes.site[node[~decided]], return_index=True)
    doubts = dict(zip(site.tolist(), node[~decided][first].tolist(), strict=True))
    unsure.reason[:] = [reach.doubt(doubts[row]) for row in unsure.site.tolist()]
    return Leaks(
        graph,
        Lost.concatenate([sure, unsure]),
        node,
        head,
        decided,
        reach.reasons,
        int(nodes.size.sum()),
        int(nodes.calls.sum()),
    )


def heads_of(graph: Graph, lost: Bool, sites: Sites) -> tuple[Int, Int]:
    """Lost nodes, ascending, and the head of the cluster of each: see :class:`Leaks`.

    :param lost: marks them, shape (nodes,)
    """
    node = np.flatnonzero(lost)
    return node, node[_clusters(graph, lost, _likeness(graph, sites))]


def _sums(nodes: Nodes, lost: Bool, count: int, node: Int, head: Int) -> Lost:
    """The table without its judgements, most first.

    :param lost: marks all lost nodes
    :param count: number of sites
    :param node: those of them to sum up
    :param head: the head of each one's cluster
    """

    def add(rows: Int, by: I32, column: Int | None = None) -> Int:
        weights = (nodes.calls if column is None else column)[rows]
        return np.bincount(by, weights, count).astype(np.int64)

    by, held = nodes.site[node], np.flatnonzero(~lost)
    is_head = head == node
    sums = Lost(
        np.arange(count, dtype=np.int32),
        add(node, by, nodes.size),
        add(node, by),
        add(held, nodes.site[held], nodes.size),
        add(held, nodes.site[held]),
        np.bincount(by[is_head], minlength=count),
        np.full(count, -1, np.int32),
        add(node, nodes.site[head], nodes.size),
        add(node, nodes.site[head]),
        *np.full((2, count), "", np.object_),
    )
    order = np.lexsort((sums.bytes, sums.cluster_bytes))[::-1]
    sums = sums.take(order[sums.bytes[order] > 0])
    chief = _chief_heads(nodes.site, node, head, count)
    sums.chief[:] = np.where(sums.heads > 0, sums.site, chief[sums.site])
    return sums


def _judge_all(sums: Lost, sites: Sites) -> None:
    place = {site: i for i, site in enumerate(sums.site.tolist())}
    for i, site in enumerate(sums.chief.tolist()):
        degree, why = _judge(sums, place[site], sites)
        if site != sums.site[i]:
            why = f"lost with {sites.place(site)}"
        sums.confidence[i], sums.reason[i] = degree, why


def _likeness(graph: Graph, sites: Sites) -> Int:
    """Likelihood of each node in a cycle to be the owner of the others.

    Modules leak more than the kernel's own trees, areas more than their descriptions.
    """
    nodes = graph.nodes
    of_module = (sites.module != "")[nodes.site].astype(np.int64)
    area = (nodes.kind == NodeKind.VMALLOC).astype(np.int64)
    return np.asarray((of_module * 2 + area) << 56 | np.minimum(nodes.size, 1 << 55))


def _clusters(graph: Graph, lost: Bool, likeness: Int) -> Int:
    """Rank of the head of its cluster for each lost node, in order.

    Heads are lost nodes, or the likeliest of a cycle of them, that no other lost one points
    at; each leads all that can be reached from it and from no head before.
    """
    count = int(np.count_nonzero(lost))
    if not count:
        return np.zeros(0, np.int64)
    rank = np.cumsum(lost, dtype=np.int32) - 1
    inside = graph.source < len(graph.nodes)
    inside[inside] = lost[graph.source[inside]]
    inside &= lost[graph.target]
    source, target = rank[graph.source[inside]], rank[graph.target[inside]]
    cycle = strong_components(source, target, count)
    entered = np.zeros(count, np.bool_)
    entered[cycle[target[cycle[source] != cycle[target]]]] = True
    # Of each cycle the likeliest, and of these the first.
    order = np.lexsort((-np.arange(count), likeness[lost], cycle))
    last = np.append(np.diff(cycle[order]) != 0, True)
    heads = np.sort(order[last][~entered[cycle[order[last]]]]).astype(np.int32)
    search = Search(source, target, count)
    search.go(heads)
    leader = search.before.astype(np.int64)
    leader[heads] = heads
    return ends(leader)


def _chief_heads(site: I32, node: Int, head: Int, count: int) -> Int:
    """Site at the head of most lost allocations, for each site."""
    pair, times = np.unique(site[node].astype(np.int64) * count + site[head], return_counts=True)
    chief = np.full(count, -1, np.int64)
    order = np.argsort(times, kind="stable")
    chief[pair[order] // count] = pair[order] % count
    return chief


def _judge(sums: Lost, i: int, sites: Sites) -> tuple[LeakConfidence, str]:
    """Judge a site by its heads, and with it all that is lost with them."""
    site, heads, held = int(sums.site[i]), int(sums.heads[i]), int(sums.held_allocations[i])
    if sites.module[site] == "" and (why := EXPECTED.get(sites.function[site])):
        return LeakConfidence.EXPECTED, why
    if sites.shared[site]:
        # Of many call sites in one, that many are lost says less.
        if heads < _MANY:
            return LeakConfidence.POSSIBLE, "few, and nothing tells whose they are"
        return LeakConfidence.LIKELY, "many are lost, but nothing tells whose they are"
    if heads >= _MANY:
        if not held:
            return LeakConfidence.CERTAIN, "nothing points at any"
        if heads >= held:
            return LeakConfidence.CERTAIN, "most are lost, the others are held"
        return LeakConfidence.VERY_LIKELY, "many are lost, but more are held"
    if not held:
        return LeakConfidence.LIKELY, "nothing points at any, but one or few pointers would do"
    return LeakConfidence.POSSIBLE, "few of many: a pointer of an unknown form, or just on its way"
