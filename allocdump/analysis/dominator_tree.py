# SPDX-License-Identifier: LGPL-2.1-or-later
"""Immediate dominators of a graph, from a tree that is too deep at first.

The tree is made of ways from the first node to each other one, so each node's dominators are
among those above it. As long as a link leads into a node from elsewhere than below the node's
parent, that parent is no dominator: the node moves up, to the nearest common ancestor of both
ends. What no link moves any more hangs below its dominators: the parent property of Georgiadis
and Tarjan, "Dominator Tree Certification and Divergent Spanning Trees" (2015).

All links are looked at in bulk, against the same tree. A node that moves may set free its
neighbours, and these theirs, along a list record by record: such waves are followed at once,
from a queue.

The nodes are in the order of a breadth-first search, so a node's ancestors have smaller numbers,
and of two ancestors of a node the nearer one is the larger.
"""

from __future__ import annotations

import numpy as np

from ..arrays import I32, Bool, Int, ends, sum_by

_LINKS = 1 << 18
"""Links that are looked at together: what bounds the memory."""


def immediate_dominators(source: I32, target: I32, before: I32) -> I32:
    """The immediate dominator of each node: shape (nodes,); 0 for the first, too.

    :param source: of each link; those of one node follow one another
    :param target: of each link
    :param before: the node before each in a search from the first, that numbered them: shape
        (nodes,); 0 for the first
    """
    parent, first = before, _first_links(source, len(before))
    shaken: Bool = np.ones(len(before), np.bool_)
    while True:
        raised = _raised(source, target, parent, shaken)
        moved = np.flatnonzero(raised != parent)
        if not len(moved):
            return parent
        if parent is not before:  # the first time most move, and few waves
            _follow(moved, parent, raised, first, source, target)
        shaken = _below(raised != parent, parent)
        parent = raised


def subtree_sums(parent: I32, own: Int) -> Int:
    """Sums over the subtrees of a tree: shape (nodes,).

    After each round a node has the sum of those less than 1, 2, 4, 8 ... steps below it.

    :param parent: of each node, shape (nodes,); the first one is the top, whose parent counts for
        nothing
    """
    count = len(parent)
    # One more node stands above the top, and above itself.
    above = np.append(parent, np.int32(count))
    above[0] = count
    sums = np.append(own, 0)
    while len(below := np.flatnonzero(above < count)):
        sums += sum_by(above[below], sums[below], count + 1)
        sums[count] = 0
        above[below] = above[above[below]]
    return sums[:count]


def _first_links(source: I32, count: int) -> Int:
    """The index of each node's first link; the number of links for nodes without."""
    first = np.full(count, len(source), np.int64)
    begin = np.flatnonzero(np.diff(source, prepend=np.int32(-1)))
    first[source[begin]] = begin
    return first


def _below(marked: Bool, parent: I32) -> Bool:
    """Mark nodes that are marked or below such ones."""
    marked, up = marked.copy(), parent
    while up.any():
        marked |= marked[up]
        up = up[up]
    return marked


def _raised(source: I32, target: I32, parent: I32, shaken: Bool) -> I32:
    """The nearest ancestor of each node that has the sources of all its links below it.

    :param shaken: nodes whose ancestors are others than before: only their links are looked at
    """
    head, raised = _path_heads(parent), parent.copy()
    for at in range(0, len(source), _LINKS):
        out, into = source[at : at + _LINKS], target[at : at + _LINKS]
        wanted = shaken[out]
        out, into = out[wanted], into[wanted]
        np.minimum.at(raised, into, _common_ancestor(out, parent[into], parent, head))
    return raised


def _path_heads(parent: I32) -> I32:
    """The first node of the heavy path that each node is on.

    A heavy path goes on to the child with most nodes below it: any way up changes paths at most
    as often as numbers of nodes can be halved.
    """
    count = len(parent)
    size = subtree_sums(parent, np.ones(count, np.int64))
    most = np.zeros(count, np.int64)
    np.maximum.at(most, parent[1:], size[1:])
    large = 1 + np.flatnonzero(size[1:] == most[parent[1:]]).astype(np.int32)
    heavy = np.zeros(count, np.int32)
    heavy[parent[large]] = large  # of several as large, the one that is written last
    large = large[heavy[parent[large]] == large]
    up = np.arange(count, dtype=np.int32)
    up[large] = parent[large]
    return ends(up)


def _common_ancestor(one: I32, other: I32, parent: I32, head: I32) -> I32:
    """Nearest common ancestors of pairs of nodes."""
    one, other = one.copy(), other.copy()
    apart = np.flatnonzero(head[one] != head[other])
    while len(apart):
        a, b = one[apart], other[apart]
        # The path that begins further down does not have it.
        first, second = head[a], head[b]
        lower = first > second
        a, b = np.where(lower, parent[first], a), np.where(lower, b, parent[second])
        one[apart], other[apart] = a, b
        apart = apart[head[a] != head[b]]
    return np.minimum(one, other)


def _follow(moved: Int, parent: I32, raised: I32, first: Int, source: I32, target: I32) -> None:
    """Raise what nodes that move up lead to, as far up.

    All below such a node moves with it; whatever a link from there leads to, and has a parent
    further down than the node's new one, moves there as well.

    :param moved: the nodes
    :param parent: of each node, so far
    :param raised: the new ones, which are changed here
    :param first: the index of each node's first link
    """
    child = np.argsort(parent[1:], kind="stable").astype(np.int32) + np.int32(1)
    first_child = np.append(0, np.cumsum(np.bincount(parent[1:], minlength=len(parent))))
    passed: Bool = np.zeros(len(parent), np.bool_)
    # Plain loops are faster over memory than over arrays.
    seen, above, new = passed.view(np.uint8).data, parent.data, raised.data
    children, below = first_child.data, child.data
    links, whose, to, end = first.data, source.data, target.data, len(source)
    # Those that move furthest up come first: others do not move what these do.
    for begin in moved[np.argsort(raised[moved], kind="stable")].tolist():
        if seen[begin]:
            continue
        goal, queue = new[begin], [begin]
        while queue:
            node = queue.pop()
            if seen[node]:
                continue
            seen[node] = True
            part = [node]
            for node in part:
                for c in below[children[node] : children[node + 1]].tolist():
                    if not seen[c]:
                        seen[c] = True
                        part.append(c)
            for node in part:
                link = links[node]
                while link < end and whose[link] == node:
                    if not seen[t := to[link]] and above[t] > goal:
                        new[t] = goal
                        queue.append(t)
                    link += 1
