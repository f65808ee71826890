# SPDX-License-Identifier: LGPL-2.1-or-later
"""Immediate dominators, against ways around each node, and against igraph."""

from __future__ import annotations

import igraph
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocdump.analysis import dominator_tree
from allocdump.analysis.dominator_tree import immediate_dominators, subtree_sums
from allocdump.analysis.search import Search
from allocdump.arrays import I32, ends

from .test_search import queue

Links = tuple[I32, I32]


def numbered(pairs: list[tuple[int, int]] | np.ndarray) -> tuple[I32, I32, I32]:
    """Links in the order of a search from node 0, and the node before each."""
    table = np.array(pairs, np.int32).reshape(-1, 2)
    source, target = table[np.argsort(table[:, 0], kind="stable")].T.copy()
    count = int(table.max(initial=0)) + 1
    search = Search(source, target, count)
    order = search.go(np.zeros(1, np.int32))
    place = np.full(count, -1, np.int32)
    place[order] = np.arange(len(order))
    inside = place[source] >= 0
    before = place[search.before[order]]
    before[0] = 0
    return place[source[inside]], place[target[inside]], before


def without(source: I32, target: I32, count: int, node: int) -> set[int]:
    """Nodes that are reached all the same without the links of one."""
    cut = source != node
    return set(queue(source[cut], target[cut], count, [0])[0])


@given(
    st.integers(2, 24).flatmap(
        lambda n: st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=60)
    )
)
def test_a_dominator_is_on_every_way(pairs: list[tuple[int, int]]) -> None:
    source, target, before = numbered(pairs)
    count = len(before)
    above = immediate_dominators(source, target, before)
    assert above[0] == 0
    reached = [without(source, target, count, node) for node in range(count)]
    for node in range(1, count):
        way = [node]
        while way[-1]:
            way.append(int(above[way[-1]]))
        assert set(way[1:]) == {d for d in range(count) if d != node and node not in reached[d]} | {
            0
        }


def by_igraph(source: I32, target: I32, count: int) -> I32:
    edges = np.column_stack((source, target)).astype(np.int64)
    found = igraph.Graph(n=count, edges=edges, directed=True).dominator(0, mode="out")
    return np.maximum(np.array(found, np.int32), 0)


def shaped(name: str, count: int) -> np.ndarray:
    """Graphs on which few links are looked at again, or many, or that are deep."""
    random = np.random.default_rng(count)
    node = np.arange(1, count)
    back = np.column_stack((node, node - 1))
    chain = back[:, ::-1]
    if name == "list":
        return np.vstack((chain, back))
    if name == "list with two ends":
        return np.vstack((chain, back, [[0, count - 1]]))
    if name == "list with ways into it":
        entry = random.integers(1, count, count // 50)
        return np.vstack((chain, back, np.column_stack((0 * entry, entry))))
    if name == "chain with links":
        return np.vstack((chain, random.integers(0, count, (count, 2))))
    if name == "trees":
        above = (node * random.random(count - 1)).astype(np.int64)
        near = random.integers(1, count, count // 4)
        beside = np.clip(near + random.integers(-50, 50, len(near)), 0, count - 1)
        down = np.column_stack((above, node))
        return np.vstack((down, down[:, ::-1], np.column_stack((near, beside))))
    # Chains, each of which hangs on the middle of the one before, and is entered at its end.
    length = 30
    above = np.where(node % length == 0, node - length // 2, node - 1)
    last = node[node % length == length - 1]
    entry = np.column_stack((np.maximum(last - length - length // 2, 0), last))
    return np.vstack((np.column_stack((above, node)), np.column_stack((node, above)), entry))


@pytest.mark.parametrize("links", [7, 1 << 18])
@pytest.mark.parametrize(
    "name",
    ["list", "list with two ends", "list with ways into it", "chain with links", "trees", "chains"],
)
def test_dominators_are_igraphs(monkeypatch: pytest.MonkeyPatch, name: str, links: int) -> None:
    monkeypatch.setattr(dominator_tree, "_LINKS", links)
    source, target, before = numbered(shaped(name, 600))
    found = immediate_dominators(source, target, before)
    assert found.tolist() == by_igraph(source, target, len(before)).tolist()


def test_a_wave_along_a_list_is_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each record of a list with two ways into it sets the one before free."""
    steps = []
    raised = dominator_tree._raised

    def counted(*arguments: np.ndarray) -> I32:
        steps.append(1)
        return raised(*arguments)

    monkeypatch.setattr(dominator_tree, "_raised", counted)
    source, target, before = numbered(shaped("list with two ends", 5000))
    assert not immediate_dominators(source, target, before).any()
    assert len(steps) <= 4


@pytest.mark.parametrize("seed", range(4))
def test_sums_over_subtrees(seed: int) -> None:
    count = 500
    random = np.random.default_rng(seed)
    # Chains among it: most nodes hang below the one before.
    parent = np.arange(count, dtype=np.int32) - np.int32(1)
    other = random.random(count) < 0.2
    parent[other] = (random.random(count) * np.arange(count))[other].astype(np.int32)
    parent[0] = 0
    own = random.integers(0, 1 << 40, count)
    sums = own.tolist()
    for node in range(count - 1, 0, -1):
        sums[parent[node]] += sums[node]
    assert subtree_sums(parent, own).tolist() == sums


def test_ends_of_chains() -> None:
    assert ends(np.array([0, 0, 1, 2, 4, 4])).tolist() == [0, 0, 0, 0, 4, 4]
