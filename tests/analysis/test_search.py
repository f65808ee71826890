# SPDX-License-Identifier: LGPL-2.1-or-later
"""Searches and cycles of graphs, against plain loops over the same graphs."""

from __future__ import annotations

import numpy as np
import pytest

from allocdump.analysis.components import strong_components
from allocdump.analysis.search import Search
from allocdump.arrays import I32


def links(seed: int, count: int, number: int) -> tuple[I32, I32]:
    random = np.random.default_rng(seed)
    source = np.sort(random.integers(0, count, number)).astype(np.int32)
    return source, random.integers(0, count, number).astype(np.int32)


def queue(source: I32, target: I32, count: int, start: list[int]) -> tuple[list[int], list[int]]:
    """The order and the predecessors of a search, node by node."""
    after: list[list[int]] = [[] for _ in range(count)]
    for s, t in zip(source.tolist(), target.tolist(), strict=True):
        after[s].append(t)
    order, before, seen = list(start), [-1] * count, set(start)
    for node in order:
        for t in after[node]:
            if t not in seen:
                seen.add(t)
                before[t] = node
                order.append(t)
    return order, before


@pytest.mark.parametrize("narrow", [0, 1, 3, 10**9])
@pytest.mark.parametrize("seed", range(8))
def test_levels_and_queues_take_nodes_in_one_order(
    monkeypatch: pytest.MonkeyPatch, narrow: int, seed: int
) -> None:
    monkeypatch.setattr("allocdump.analysis.search._NARROW", narrow)
    count = 200
    source, target = links(seed, count, 260)
    search = Search(source, target, count)
    start = [3, 5, 7, 150]
    order, before = queue(source, target, count, start)
    assert search.go(np.array(start)).tolist() == order
    assert search.before.tolist() == before
    assert np.flatnonzero(search.reached).tolist() == sorted(order)


def test_a_search_that_goes_on_enters_nothing_twice() -> None:
    source, target = links(1, 300, 350)
    search = Search(source, target, 300)
    first = search.go(np.array([1, 2])).tolist()
    before = search.before.copy()
    second = search.go(np.array([1, 40, 41])).tolist()
    assert not set(first) & set(second)
    assert search.before[first].tolist() == before[first].tolist()
    assert set(first) | set(second) == set(queue(source, target, 300, [1, 2, 40, 41])[0])


def test_nothing_is_reached_from_nowhere() -> None:
    none = np.zeros(0, np.int32)
    assert Search(none, none, 0).go(none).tolist() == []
    assert Search(*links(1, 9, 9), 9).go(none).tolist() == []
    assert Search(none, none, 2).go(np.array([1])).tolist() == [1]


def test_a_long_list_takes_no_step_of_numpy_for_each_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_step(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Search, "_next", no_step)
    count = 20_000
    node = np.arange(count, dtype=np.int32)
    source = np.repeat(node, 2)[1:-1]
    target = np.column_stack((node - 1, node + 1)).reshape(-1)[1:-1]
    assert len(Search(source, target, count).go(node[:1])) == count


@pytest.mark.parametrize("seed", range(8))
def test_cycles_are_what_reaches_itself_both_ways(seed: int) -> None:
    count = 40
    source, target = links(seed, count, 50)
    component = strong_components(source, target, count)
    reaches = [set(queue(source, target, count, [node])[0]) for node in range(count)]
    for a in range(count):
        for b in range(count):
            assert (component[a] == component[b]) == (b in reaches[a] and a in reaches[b])
    assert component.max() < count


def test_without_links_each_is_its_own() -> None:
    none = np.zeros(0, np.int32)
    assert strong_components(none, none, 3).tolist() == [0, 1, 2]
