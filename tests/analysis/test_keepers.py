# SPDX-License-Identifier: LGPL-2.1-or-later
"""What some allocations keep together, against what is gone without them."""

from __future__ import annotations

import numpy as np
import pytest

from allocdump.analysis.keepers import kept_by, reached_from
from allocdump.analysis.reach import NEVER, reach

from .test_reach import NAMED, OTHER, STACK, Link, graph


def numbers(*nodes: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(nodes, np.int32)


@pytest.mark.parametrize("seed", range(10))
def test_kept_is_what_is_gone_without_them(seed: int) -> None:
    random = np.random.default_rng(seed)
    count = 30
    links: list[Link] = [(int(a), int(b)) for a, b in random.integers(0, count, (45, 2))]
    links += [(NAMED, int(n)) for n in random.integers(0, count, 2)] + [(OTHER, 0)]
    found = reach(graph(count, links))
    held = found.tier < NEVER
    nodes = np.flatnonzero(held)[:3].astype(np.int32)
    rest = [(s, t) for s, t in links if s not in nodes and t not in nodes]
    without = reach(graph(count, rest)).tier < NEVER
    kept = kept_by(found, nodes)
    assert ((kept >= 0) == (held & ~without)).all()
    assert kept[nodes].tolist() == [0, 1, 2]


def test_two_that_keep_together_what_neither_keeps_alone() -> None:
    # variable -> 0 and 1 -> 2; 3 is a list's, too; 1 -> 4.
    links: list[Link] = [(NAMED, 0), (NAMED, 1), (0, 2), (1, 2), (0, 3), (OTHER, 3), (1, 4)]
    found = reach(graph(5, links))
    assert kept_by(found, numbers(0)).tolist() == [0, -1, -1, -1, -1]
    assert kept_by(found, numbers(0, 1)).tolist() == [0, 1, 0, -1, 1]


def test_a_stack_does_not_keep_what_a_variable_holds() -> None:
    found = reach(graph(2, [(NAMED, 0), (0, 1), (STACK, 1)]))
    assert kept_by(found, numbers(0)).tolist() == [0, 0]


def test_what_nothing_reaches_is_kept_by_nobody() -> None:
    assert kept_by(reach(graph(3, [(NAMED, 0), (1, 2)])), numbers(0)).tolist() == [0, -1, -1]


def test_the_search_ends_at_a_barrier() -> None:
    # Keyring 0 -> node 2 -> key 3 -> payload 4, and -> key 5, which is on no keyring.
    found = reach(graph(6, [(NAMED, 0), (NAMED, 1), (0, 2), (2, 3), (3, 4), (3, 5)]))
    barrier = np.isin(np.arange(6), [0, 1, 3, 5])
    assert reached_from(found, numbers(0, 1), barrier).tolist() == [0, 1, 0, 0, -1, -1]
