# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cycles of a graph: its strongly connected components."""

from __future__ import annotations

import numpy as np

from ..arrays import I32, Int
from .search import row_starts


def strong_components(source: I32, target: I32, count: int) -> Int:
    """The number of the strongly connected component of each node, below *count*: shape (count,).

    The algorithm of Tarjan as Pearce has it, "A space-efficient algorithm for finding strongly
    connected components" (2016), with a stack of its own in place of recursion.

    :param source: of each link, ascending
    :param target: of each link
    :param count: number of nodes
    """
    if not len(source):
        return np.arange(count)
    starts = row_starts(source, count)
    # The first node seen of those that a node leads back to; once its component is known,
    # 2 * count less the component's number, which is more than any.
    rank = np.zeros(count, np.int64)
    links, end, to, low = starts[:-1].copy().data, starts[1:].data, target.data, rank.data
    seen, done = 0, 2 * count
    waiting: list[int] = []
    for begin in range(count):
        if low[begin]:
            continue
        seen += 1
        low[begin] = seen
        path, first = [begin], [seen]
        while path:
            node = path[-1]
            link = links[node]
            if link < end[node]:
                links[node] = link + 1
                other = to[link]
                if not low[other]:
                    seen += 1
                    low[other] = seen
                    path.append(other)
                    first.append(seen)
                elif low[other] < low[node]:
                    low[node] = low[other]
                continue
            path.pop()
            if low[node] == first.pop():
                while waiting and low[waiting[-1]] >= low[node]:
                    low[waiting.pop()] = done
                low[node] = done
                done -= 1
            else:
                waiting.append(node)
                if low[node] < low[path[-1]]:
                    low[path[-1]] = low[node]
    return 2 * count - rank
