# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reachability, clusters and dominators of small graphs, against what is plain to see."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from allocdump.analysis.dominators import TOP, dominators, holders_of, holdings, nearest_root
from allocdump.analysis.leaks import LeakConfidence, leaks
from allocdump.analysis.reach import NEVER, Verdict, exact_tails, reach
from allocdump.arch.base import PageSize
from allocdump.arrays import U64, Bool
from allocdump.graph.edges import Graph
from allocdump.graph.nodes import NodeKind, Nodes
from allocdump.graph.roots import Root, Tier
from allocdump.graph.scan import Scanner
from allocdump.kernel.tags.sites import Sites
from tests import samples

NAMED = Root("variable", "kernel", Tier.NAMED)
OTHER = Root("other", "kernel", Tier.NAMED)
STACK = Root("sh [1]", "stack", Tier.STACK)

Link = tuple[int | Root, int]
"""A node or root, and a node that it points at."""


def sites(count: int) -> Sites:
    return samples.sites(*((f"f{i}.c", i, f"f{i}", "", 0, 0) for i in range(count)))


def graph(
    count: int,
    links: Sequence[Link],
    roots: tuple[Root, Root, Root] = (NAMED, OTHER, STACK),
    site: list[int] | None = None,
    size: list[int] | None = None,
    torn: tuple[int, ...] = (),
    blind: tuple[str, ...] = (),
) -> Graph:
    """Nodes 0 to count - 1, of 10 bytes each, and the links between nodes and roots."""
    nodes = Nodes(
        np.arange(count, dtype=np.uint64) * 4096,
        np.full(count, 10, np.int64) if size is None else np.array(size, np.int64),
        np.ones(count, np.int64),
        np.zeros(count, np.int32) if site is None else np.array(site, np.int32),
        np.zeros(count, np.uint8),
        np.zeros(count, np.bool_),
    )
    pairs = sorted({(count + roots.index(s) if isinstance(s, Root) else s, t) for s, t in links})
    source, target = np.array(pairs, np.int32).reshape(-1, 2).T
    return Graph(
        nodes,
        list(roots),
        source,
        target,
        np.zeros(count, np.bool_),
        np.array(torn, np.int32),
        list(blind),
        cast(
            Scanner,
            SimpleNamespace(
                memory=SimpleNamespace(words=zeros),
                kernel=SimpleNamespace(max_order=10),
                heap=SimpleNamespace(
                    page=PageSize(12),
                    frames_of=lambda addresses: (addresses >> np.uint64(12)).view(np.int64),
                ),
            ),
        ),
    )


def zeros(addresses: U64) -> tuple[U64, Bool]:
    """Memory of zeros."""
    return np.zeros(len(addresses), np.uint64), np.ones(len(addresses), np.bool_)


def test_what_no_root_reaches_is_lost() -> None:
    found = reach(graph(4, [(NAMED, 0), (0, 1), (2, 3), (3, 2)]))
    assert found.verdict.tolist() == [Verdict.HELD, Verdict.HELD, Verdict.LOST, Verdict.LOST]
    assert found.way(1) == [4, 0, 1]
    assert found.way(3) == []


def test_a_list_of_many_steps() -> None:
    count = 200_000
    chain = [(i, i + 1) for i in range(count - 1)]
    found = reach(graph(count, [(NAMED, 0), *chain]))
    assert (found.tier == Tier.NAMED).all()
    assert len(found.way(count - 1)) == count + 1


def test_a_stack_does_not_claim_what_a_variable_holds() -> None:
    found = reach(graph(4, [(NAMED, 0), (0, 1), (1, 2), (STACK, 1), (STACK, 3)]))
    assert found.tier.tolist() == [Tier.NAMED, Tier.NAMED, Tier.NAMED, Tier.STACK]
    tree = dominators(found)
    assert tree.bytes[4:].tolist() == [30, 0, 10]
    assert tree.parent[1] == 0


@pytest.mark.parametrize(
    ("torn", "blind", "verdict"),
    [
        ((), (), Verdict.LOST),
        ((0,), (), Verdict.UNDECIDED),  # a hole in what is held
        ((1,), (), Verdict.LOST),  # a hole in what is lost itself
        ((2,), (), Verdict.UNDECIDED),  # a hole in a root
        ((), ("struct pages are missing",), Verdict.UNDECIDED),
    ],
)
def test_holes_that_may_hold_make_undecided(
    torn: tuple[int, ...], blind: tuple[str, ...], verdict: Verdict
) -> None:
    found = reach(graph(2, [(NAMED, 0)], torn=torn, blind=blind))
    assert found.verdict.tolist() == [Verdict.HELD, verdict]
    assert bool(found.reasons) == (verdict == Verdict.UNDECIDED)


def pages(count: int, exact: set[int], site: list[int] | None = None) -> Graph:
    made = graph(count, [(NAMED, i) for i in exact], size=[4096] * count, site=site)
    made.nodes.kind[:] = NodeKind.PAGES
    made.nodes.address[:] = (np.arange(count) + 8) * 4096
    made.exact[list(exact)] = True
    return made


def test_pages_allocated_exactly_hang_on_the_first() -> None:
    made = pages(8, {0, 6})  # frames 8 to 15: blocks of 6 and of 2 pages
    found = exact_tails(made, np.isin(np.arange(8), [0, 6]))
    source, target = found.source, found.target
    assert source.tolist() == [0] * 5 + [0, 6]
    assert sorted(set(target.tolist())) == [1, 2, 3, 4, 5, 7]
    assert (reach(made).verdict == Verdict.HELD).all()


def test_a_leak_of_single_pages_is_not_explained_so() -> None:
    # Frame 9 starts no block of more than one page: what follows it is not its tail.
    made = pages(8, {1})
    assert len(exact_tails(made, np.isin(np.arange(8), [1])).target) == 0
    assert np.count_nonzero(reach(made).verdict == Verdict.LOST) == 7


def test_a_site_that_leaks_more_is_not_explained_by_what_follows() -> None:
    # Frames 8 to 15 may be one exact allocation, but 16 to 19 are not: nor are the others.
    made = pages(12, {0})
    assert len(exact_tails(made, np.arange(12) == 0).target) == 0
    assert np.count_nonzero(reach(made).verdict == Verdict.LOST) == 11


def test_another_site_ends_what_was_allocated_exactly() -> None:
    made = pages(4, {0}, site=[0, 0, 1, 1])
    assert reach(made).verdict.tolist() == [Verdict.HELD] * 2 + [Verdict.LOST] * 2


def test_lost_memory_is_grouped_under_what_nothing_points_at() -> None:
    # 1 leads 2 and 3; 4 and 5 are a cycle that leads 6; 7 is alone.
    links: list[Link] = [(NAMED, 0), (1, 2), (2, 3), (4, 5), (5, 4), (5, 6)]
    found = leaks(reach(graph(8, links, site=[0, 0, 1, 1, 0, 1, 1, 1])), sites(2))
    heads = dict(zip(found.node.tolist(), found.head.tolist(), strict=True))
    assert heads == {1: 1, 2: 1, 3: 1, 4: 4, 5: 4, 6: 4, 7: 7}
    assert found.lost.site.tolist() == [0, 1]
    assert found.lost.heads.tolist() == [2, 1]
    assert found.lost.bytes.tolist() == [20, 50]
    assert found.lost.cluster_bytes.tolist() == [60, 10]
    assert found.lost.held_allocations.tolist() == [1, 0]
    assert found.total_bytes == 80


def test_of_a_cycle_the_module_is_the_head() -> None:
    made = sites(2)
    made.module[:] = ["", "mod"]
    found = leaks(reach(graph(2, [(0, 1), (1, 0)], site=[0, 1])), made)
    assert found.head.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("lost", "held", "blind", "confidence"),
    [
        (20, 0, (), LeakConfidence.CERTAIN),
        (20, 20, (), LeakConfidence.CERTAIN),
        (20, 500, (), LeakConfidence.VERY_LIKELY),
        (3, 0, (), LeakConfidence.LIKELY),
        (3, 50, (), LeakConfidence.POSSIBLE),
        (20, 0, ("gone",), LeakConfidence.UNDECIDED),
    ],
)
def test_confidence(
    lost: int, held: int, blind: tuple[str, ...], confidence: LeakConfidence
) -> None:
    links = [(NAMED, i) for i in range(held)]
    found = leaks(reach(graph(lost + held, links, blind=blind)), sites(1))
    assert found.lost.confidence.tolist() == [confidence]
    assert found.lost.reason[0]


def test_what_the_kernel_drops_on_purpose_comes_last() -> None:
    made = sites(2)
    made.function[:] = ["__register_sysctl_table", "leak"]
    found = leaks(reach(graph(3, [], site=[0, 0, 1])), made)
    assert found.lost.site.tolist() == [1, 0]
    assert found.lost.confidence.tolist() == [LeakConfidence.LIKELY, LeakConfidence.EXPECTED]


@pytest.mark.parametrize("seed", range(20))
def test_dominators_by_removing_each_holder(seed: int) -> None:
    random = np.random.default_rng(seed)
    count = 30
    links: list[Link] = [(int(a), int(b)) for a, b in random.integers(0, count, (45, 2))]
    links += [(NAMED, int(n)) for n in random.integers(0, count, 2)] + [(OTHER, 0)]
    made = graph(count, links)
    found = reach(made)
    tree = dominators(found)
    held = found.tier < NEVER
    for holder in range(count + 2):
        if holder < count and not held[holder]:
            assert tree.parent[holder] == -2
            continue
        name = holder if holder < count else [NAMED, OTHER][holder - count]
        rest = [(s, t) for s, t in links if s != name and t != name]
        without = reach(graph(count, rest)).tier < NEVER
        gone = held & ~without
        if holder < count:
            gone[holder] = True
        assert tree.bytes[holder] == 10 * np.count_nonzero(gone)
        assert tree.allocations[holder] == np.count_nonzero(gone)


def test_holdings_take_chains_of_one_site_together() -> None:
    # variable -> 0 -> 1 -> 2 (one site) -> 3 (another); 4 is held by two.
    links: list[Link] = [(NAMED, 0), (0, 1), (1, 2), (2, 3), (NAMED, 4), (OTHER, 4)]
    tree = dominators(reach(graph(5, links, site=[0, 0, 0, 1, 1])))
    first, shared = holdings(tree, 3)
    assert (first.root, first.bytes, first.allocations) == (0, 40, 4)
    (records,) = first.children
    assert (records.site, records.bytes, records.allocations) == (0, 40, 4)
    assert [(c.site, c.bytes) for c in records.children] == [(1, 10)]
    assert shared.shared
    assert (shared.bytes, [c.site for c in shared.children]) == (10, [1])
    assert holdings(tree, 0)[0].children == []


def test_holders_of_a_site() -> None:
    links: list[Link] = [(NAMED, 0), (0, 1), (NAMED, 2), (OTHER, 2)]
    found = reach(graph(4, links))
    tree = dominators(found)
    assert tree.holder()[:4].tolist() == [4, 4, TOP, TOP]
    assert nearest_root(found).tolist() == [0, 0, 0, -1]
    rows = {(h.root, h.nearest, h.bytes, h.allocations) for h in holders_of(tree, np.array([0]))}
    assert rows == {(0, 0, 20, 2), (None, 0, 10, 1), (None, None, 10, 1)}


def test_one_hidden_pointer_may_hold_many() -> None:
    """A list whose head nobody finds, and what another site hangs on it: one pointer would do."""
    links = [(i, i + 1) for i in range(29)] + [(i, i + 30) for i in range(30)]
    found = leaks(reach(graph(60, links, site=[0] * 30 + [1] * 30)), sites(2)).lost
    assert dict(zip(found.site.tolist(), found.chief.tolist(), strict=True)) == {0: 0, 1: 0}
    assert found.confidence.tolist() == [LeakConfidence.LIKELY] * 2
    assert any(reason.startswith("lost with ") for reason in found.reason)
