# SPDX-License-Identifier: LGPL-2.1-or-later
"""Breadth-first search over the links of a graph.

Whole levels are searched at once by numpy, as long as they are wide. Where they are narrow, as
along a list of a million records, each would cost more than its nodes do one by one: these are
taken from a queue.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..arrays import I32, Bool, Int, ranges

_NARROW = 64
"""Nodes of a level below which a queue is faster: see ``scripts/graph_libraries.py``."""


def row_starts(source: npt.NDArray[np.integer], size: int) -> Int:
    """The index of the first link of each node, and the number of links: shape (size + 1,).

    :param source: of each link, ascending
    :param size: number of nodes
    """
    return np.append(0, np.cumsum(np.bincount(source, minlength=size)))


class Search:
    """A search that goes on from more nodes each time, and enters none twice."""

    def __init__(self, source: I32, target: I32, size: int) -> None:
        """Begin with nothing reached.

        :param source: of each link, ascending
        :param target: of each link
        :param size: number of nodes
        """
        self._start = row_starts(source, size)
        self._target = target
        self.reached: Bool = np.zeros(size, np.bool_)
        """Nodes that were reached so far: shape (size,)."""
        self.before: I32 = np.full(size, -1, np.int32)
        """The node before each on the shortest way there, the first found of several; -1 for
        those that the search began from, and for those not reached. Shape (size,)."""

    def go(self, start: npt.NDArray[np.integer]) -> I32:
        """Reach all that can be reached from some nodes, and was not before.

        :param start: no node twice
        :return: the nodes that are newly reached, nearest first, in the order of a queue
        """
        level = start[~self.reached[start]].astype(np.int32)
        self.reached[level] = True
        order = [level]
        while len(level):
            if len(level) > _NARROW:
                level = self._next(level)
                order.append(level)
            else:
                passed, level = self._queue(level)
                order.append(passed)
        return np.concatenate(order)

    def _next(self, level: I32) -> I32:
        """Pass a wide level: the nodes after it."""
        start = self._start[level]
        count = self._start[level + 1] - start
        target: I32 = self._target[np.repeat(start, count) + ranges(count)]
        source = np.repeat(level, count)
        new = ~self.reached[target]
        source, target = source[new], target[new]
        # Of several links to one node the first counts: the last that is written here.
        self.before[target[::-1]] = np.arange(len(target), dtype=np.int32)[::-1]
        first = self.before[target] == np.arange(len(target))
        source, target = source[first], target[first]
        self.before[target] = source
        self.reached[target] = True
        return target

    def _queue(self, level: I32) -> tuple[I32, I32]:
        """Pass narrow levels: all nodes that were reached, and the last level, which is wide or
        empty."""
        start, targets = self._start.data, self._target.data
        reached, before = self.reached.view(np.uint8).data, self.before.data
        queue, passed = level.tolist(), []
        while queue and len(queue) <= _NARROW:
            found: list[int] = []
            for node in queue:
                for target in targets[start[node] : start[node + 1]].tolist():
                    if not reached[target]:
                        reached[target] = True
                        before[target] = node
                        found.append(target)
            passed += found
            queue = found
        return np.array(passed, np.int32), np.array(queue, np.int32)
