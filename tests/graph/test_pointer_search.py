# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where pointers are found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from allocdump.graph.edges import Graph
from allocdump.graph.pointer_search import _memory_of
from allocdump.graph.roots import Root, Tier
from allocdump.kernel.kernel import Kernel

from ..fakekernel import FakeKernel


def test_cpus_have_their_own_numbers() -> None:
    """CPUs 0 and 2 are possible, 1 is not."""
    fake = FakeKernel()
    fake.cpus([0x1000, 0, 0x3000], possible=0b101)
    kernel = Kernel(fake.prog)
    assert kernel.cpus.numbers == (0, 2)
    root = Root("counters", "per-CPU", Tier.NAMED, 0x100, 8)
    graph = SimpleNamespace(
        nodes=[], root=lambda number: root, is_root=lambda number: True,
        scanner=SimpleNamespace(kernel=kernel),
    )  # fmt: skip
    assert list(_memory_of(cast(Graph, graph), 0)) == [(0x1100, 8, 0), (0x3100, 8, 2)]


def test_without_smp() -> None:
    assert Kernel(FakeKernel().prog).cpus.numbers == (0,)
