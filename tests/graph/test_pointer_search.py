# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where pointers are found."""

from types import SimpleNamespace

from allocdump.graph.pointer_search import _memory_of
from allocdump.graph.roots import Root, Tier
from allocdump.kernel.tags.counters import possible_cpus

from ..fakekernel import FakeKernel


def test_cpus_have_their_own_numbers():
    """CPUs 0 and 2 are possible, 1 is not."""
    kernel = FakeKernel()
    kernel.cpus([0x1000, 0, 0x3000], possible=0b101)
    assert possible_cpus(kernel.prog) == [0, 2]
    graph = SimpleNamespace(
        nodes=[], roots=[Root("counters", "per-CPU", Tier.NAMED, 0x100, 8)],
        scanner=SimpleNamespace(memory=SimpleNamespace(prog=kernel.prog)),
    )  # fmt: skip
    assert list(_memory_of(graph, 0)) == [(0x1100, 8, 0), (0x3100, 8, 2)]


def test_without_smp():
    assert possible_cpus(FakeKernel().prog) == [0]
