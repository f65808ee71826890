# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that nothing points at any more, by call site or other origin."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import breadth_first_order, connected_components

from ..arrays import I32, Bool, Columns, Int
from ..graph.edges import Graph
from ..graph.nodes import NodeKind
from ..kernel.tags.sites import Sites
from .reach import NEVER, Reach, Verdict, ends, rows

_MANY = 16
"""A number of allocations of one site that cannot all be hidden by chance."""


class LeakConfidence(StrEnum):
    """Degrees of certainty that lost memory of an origin is leaked."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    UNDECIDED = "undecided"
    EXPECTED = "expected"
    """The kernel drops these pointers on purpose."""


EXPECTED = {
    "__register_sysctl_table": "headers of empty sysctl directories are never unregistered",
}
"""Functions of the kernel whose allocations nothing points at although all is well:
``register_sysctl_mount_point()`` in fs/proc/proc_sysctl.c."""


@dataclass
class Lost(Columns):
    """Origins with lost memory, most first; columns of shape (number of such origins,)."""

    site: I32
    """Row of the origin."""
    bytes: Int
    """Lost, or undecided."""
    allocations: Int
    held_bytes: Int
    held_allocations: Int
    heads: Int
    """Lost allocations that no other lost one points at: the leak itself, most likely."""
    cluster_bytes: Int
    """Bytes of all allocations lost with them: those that they point at, and so on."""
    cluster_allocations: Int
    confidence: npt.NDArray[np.object_]
    reason: npt.NDArray[np.object_]


@dataclass
class Leaks:
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


def leaks(reach: Reach, origins: Sites) -> Leaks:
    """Sum up by origin the memory that no root reaches; of one origin, what is undecided apart."""
    graph = reach.graph
    nodes = graph.nodes
    lost = reach.tier == NEVER
    node = np.flatnonzero(lost)
    head = node[_clusters(graph, lost, _likeness(graph, origins))]
    undecided = reach.verdict[node] == Verdict.UNDECIDED
    parts = []
    for some in (~undecided, undecided):
        sums = _sums(reach, len(origins), node[some], head[some])
        chief = _chief_heads(nodes.site, node[some], head[some], len(origins))
        for i, row in enumerate(sums.site.tolist()):
            judged = (
                _undecided(reach.reasons)
                if some is undecided
                else _judge(sums, i, origins, int(chief[row]))
            )
            sums.confidence[i], sums.reason[i] = judged
        parts.append(sums)
    found = Lost.concatenate(parts)
    last = np.isin(found.confidence, [LeakConfidence.EXPECTED, LeakConfidence.UNDECIDED])
    found = found.take(np.argsort(last, kind="stable"))
    return Leaks(
        graph,
        found,
        node,
        head,
        ~undecided,
        reach.reasons,
        int(nodes.size.sum()),
        int(nodes.calls.sum()),
    )


def _sums(reach: Reach, count: int, node: Int, head: Int) -> Lost:
    """The table without its judgements, most first.

    :param count: number of origins
    :param node: lost allocations
    :param head: the head of each one's cluster
    """
    nodes = reach.graph.nodes

    def add(rows: Int, by: I32, column: Int | None = None) -> Int:
        weights = (nodes.calls if column is None else column)[rows]
        return np.bincount(by, weights, count).astype(np.int64)

    by, held = nodes.site[node], np.flatnonzero(reach.tier != NEVER)
    is_head = head == node
    sums = Lost(
        np.arange(count, dtype=np.int32),
        add(node, by, nodes.size),
        add(node, by),
        add(held, nodes.site[held], nodes.size),
        add(held, nodes.site[held]),
        np.bincount(by[is_head], minlength=count),
        add(node, nodes.site[head], nodes.size),
        add(node, nodes.site[head]),
        *np.full((2, count), "", np.object_),
    )
    order = np.lexsort((sums.bytes, sums.cluster_bytes))[::-1]
    return sums.take(order[sums.bytes[order] > 0])


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
    cycles, cycle = connected_components(rows(source, target, count), connection="strong")
    entered = np.zeros(cycles, np.bool_)
    entered[cycle[target[cycle[source] != cycle[target]]]] = True
    # Of each cycle the likeliest, and of these the first.
    order = np.lexsort((-np.arange(count), likeness[lost], cycle))
    last = np.append(np.diff(cycle[order]) != 0, True)
    heads = np.sort(order[last][~entered[cycle[order[last]]]]).astype(np.int32)
    table = rows(
        np.append(source, np.full(len(heads), count, np.int32)), np.append(target, heads), count + 1
    )
    _, before = breadth_first_order(table, count)
    leader = before[:count].astype(np.int64)
    leader[heads] = heads
    return ends(leader)


def _chief_heads(site: I32, node: Int, head: Int, count: int) -> Int:
    """Site at the head of most lost allocations, for each site."""
    pair, times = np.unique(site[node].astype(np.int64) * count + site[head], return_counts=True)
    chief = np.full(count, -1, np.int64)
    order = np.argsort(times, kind="stable")
    chief[pair[order] // count] = pair[order] % count
    return chief


def _undecided(reasons: list[str]) -> tuple[LeakConfidence, str]:
    why = "it is behind a page that is held, and may be a part of that, or is held by such a page"
    if reasons:
        why = "memory that is not in the dump may point at it"
    return LeakConfidence.UNDECIDED, why


def _judge(sums: Lost, i: int, origins: Sites, chief: int) -> tuple[LeakConfidence, str]:
    row, number = int(sums.site[i]), int(sums.allocations[i])
    every = sums.held_allocations[i] == 0
    if origins.module[row] == "" and (why := EXPECTED.get(origins.function[row])):
        return LeakConfidence.EXPECTED, why
    # Where many call sites are one, that many are lost says less.
    high, medium = LeakConfidence.HIGH, LeakConfidence.MEDIUM
    if origins.shared[row]:
        high, medium = LeakConfidence.MEDIUM, LeakConfidence.LOW
    if not sums.heads[i] and chief != row:
        return high if number >= _MANY else medium, f"lost with {origins.place(chief)}"
    if number >= _MANY:
        return high, "nothing points at any" if every else "the others are held"
    if every:
        return medium, "nothing points at any, but they are few"
    return LeakConfidence.LOW, "few of many: a pointer of an unknown form, or just on its way"
