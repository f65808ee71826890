# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that only certain allocations keep: what would be freed with them.

Dominators answer that for one allocation at a time. What several keep together, as the files of
a task do, is found by searching once more, from the roots, without them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..arrays import I32, Bool, Int, ends
from ..graph.roots import Tier
from .reach import Reach
from .search import Search


def kept_by(reach: Reach, nodes: I32) -> Int:
    """The index in *nodes* of what keeps each node of the graph: of the nearest, where several
    do; -1 for nodes that others keep, too, and for what no root reaches. Shape (graph's nodes,).

    As for dominators, what a root of one tier reaches, later tiers do not share.

    :param nodes: nodes of the graph, shape (n,)
    """
    graph = reach.graph
    count = len(graph.nodes)
    tier = np.append(reach.tier, np.array([r.tier for r in graph.roots], np.uint8))
    links = (tier[graph.source] <= tier[graph.target]) & (tier[graph.source] < Tier.UNPROVEN)
    given = np.zeros(len(tier), np.bool_)
    given[nodes] = True
    source, target = graph.source[links], graph.target[links]
    others = ~given[source] & ~given[target]
    roots = np.arange(count, len(tier), dtype=np.int32)
    search = Search(source[others], target[others], len(tier))
    search.go(roots)
    kept = (tier < Tier.UNPROVEN) & ~search.reached
    kept[count:] = False
    within = kept[source] & kept[target]
    return np.where(kept[:count], _nearest(source[within], target[within], nodes, tier)[:count], -1)


def reached_from(reach: Reach, nodes: I32, barrier: Bool) -> Int:
    """The index in *nodes* of the nearest from which each node of the graph can be reached; -1
    for others. Shape (graph's nodes,).

    :param nodes: nodes of the graph, shape (n,)
    :param barrier: marks nodes, but *nodes*, from which the search does not go on; shape
        (graph's nodes,)
    """
    graph = reach.graph
    stop = np.append(barrier, np.zeros(len(graph.roots), np.bool_))
    stop[nodes] = False
    links = ~stop[graph.source]
    found = _nearest(graph.source[links], graph.target[links], nodes, stop)
    return found[: len(graph.nodes)]


def _nearest(source: I32, target: I32, nodes: I32, numbers: npt.NDArray[np.generic]) -> Int:
    """The index in *nodes* of the one from which each of the *numbers* is reached first."""
    size = len(numbers)
    search = Search(source, target, size)
    search.go(np.unique(nodes))
    index = np.full(size, -1, np.int64)
    # Of nodes that are given twice, the first.
    index[nodes[::-1]] = np.arange(len(nodes))[::-1]
    last = ends(np.where(search.before < 0, np.arange(size), search.before))
    return np.asarray(index[last])
