# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runtime constants: what instructions hold, and what nobody can tell without them."""

from __future__ import annotations

import numpy as np
import pytest

from allocdump.analysis import reach as reach_module
from allocdump.analysis.leaks import LeakConfidence, leaks
from allocdump.analysis.reach import ExactTails, Verdict, reach
from allocdump.graph.edges import Graph
from allocdump.graph.roots import Tier
from tests.dumpdata import core, open_core


def holders(graph: Graph, node: int) -> set[str]:
    sources = graph.source[graph.target == node].tolist()
    return {str(graph.root(s)) for s in sources if graph.is_root(s)}


def test_code_holds_the_hash_table_of_dentries() -> None:
    """dcache.c asks for it by runtime_const_ptr(): the variable is there as well."""
    dump = open_core(core("7.2-quiet"))
    graph = dump.graph()
    variable = dump.prog.symbol("dentry_hashtable").address
    table = np.array([dump.prog.read_u64(variable)], np.uint64)
    (node,) = graph.scanner.pointers.targets(table).tolist()
    assert node >= 0
    assert {"__d_lookup (kernel code)", "__d_rehash (kernel code)"} <= holders(graph, node)
    assert "dentry_hashtable (kernel)" in holders(graph, node)


@pytest.mark.parametrize(
    ("folder", "verdict"), [("7.2-quiet", Verdict.LOST), ("7.3-reach", Verdict.UNDECIDED)]
)
def test_without_code_memory_of_boot_code_is_undecided(
    folder: str, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages behind the first of futex_init()'s table, without the rule that explains them.

    7.2-quiet has the kernel's code; it was taken out of the others, to make them small.
    """
    dump = open_core(core(folder))
    graph, sites = dump.graph(), dump.origins
    none = ExactTails(*np.zeros((3, 0), np.int32))
    monkeypatch.setattr(reach_module, "exact_tails", lambda *arguments: none)
    found = reach(graph)
    boot = (sites.function == "futex_init")[graph.nodes.site]
    assert set(found.verdict[boot]) == {Verdict.HELD, verdict}
    unproven = {root.name for root in graph.roots if root.tier == Tier.UNPROVEN}
    missing = "kernel code that is not in the dump" in unproven
    assert missing == (verdict == Verdict.UNDECIDED)
    # What modules lost is lost all the same.
    lost = leaks(found, sites).lost
    row = {sites.function[site]: i for i, site in enumerate(lost.site.tolist())}
    assert lost.confidence[row["leaked_pages"]] == LeakConfidence.CERTAIN
    if verdict == Verdict.UNDECIDED:
        futex = row["futex_init"]
        assert lost.confidence[futex] == LeakConfidence.UNDECIDED
        assert lost.bytes[futex] > 0
        assert lost.reason[futex] == "kernel code that is not in the dump may point at it"
        node = int(np.flatnonzero(boot & (found.verdict == verdict))[0])
        assert found.doubt(node) == lost.reason[futex]
