# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cycles and dominators of a graph, by igraph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrays import I32, Int
from ..errors import library

if TYPE_CHECKING:
    import igraph


def strong_components(source: I32, target: I32, count: int) -> Int:
    """The number of the strongly connected component of each node, below *count*: shape (count,).

    :param source: of each link
    :param target: of each link
    :param count: number of nodes
    :raises ExtraError: if igraph is not installed, which a zipapp's host may lack
    """
    if not len(source):
        return np.arange(count)
    return np.array(_graph(source, target, count).connected_components("strong").membership)


def immediate_dominators(source: I32, target: I32, count: int) -> Int:
    """The immediate dominator of each node, by the algorithm of Lengauer and Tarjan.

    :param source: of each link
    :param target: of each link
    :param count: number of nodes, all of which the first one reaches
    :return: shape (count,); -1 for the first
    :raises ExtraError: if igraph is not installed
    """
    return np.array(_graph(source, target, count).dominator(0, mode="out"), np.int64)


def _graph(source: I32, target: I32, count: int) -> igraph.Graph:
    # Slow to load, and not needed where nothing is lost. A zipapp's host may lack it.
    with library("igraph"):
        import igraph

    edges = np.column_stack((source, target)).astype(np.int64)
    return igraph.Graph(n=count, edges=edges, directed=True)
