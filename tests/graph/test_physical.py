# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tables that are pointed at by physical address; no bundled dump has a guest or an IOMMU."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from drgn import Program

from allocdump.analysis.leaks import LeakConfidence, leaks
from allocdump.analysis.reach import Verdict, reach
from allocdump.arch.base import PageSize
from allocdump.arch.x86_64 import Tables
from allocdump.arrays import U64, Bool
from allocdump.graph.edges import Graph
from allocdump.graph.nodes import NodeKind, Nodes
from allocdump.graph.physical import Mentions
from allocdump.graph.roots import Root, Tier
from allocdump.kernel.mm.sections import MemorySection
from tests import samples

BASE = 0xFFFF_8880_0000_0000
PFN = 0x1000
VARIABLE = Root("vm_list", "kvm", Tier.NAMED)
DEVICE = Root("a device or table that has its physical address", "", Tier.UNPROVEN)


def physical(page: int) -> int:
    return PFN + page << 12


def graph(site: list[int], words: dict[tuple[int, int], int], held: list[int]) -> Graph:
    """Pages next to one another from PFN on; words by page and index.

    *held* are those that a variable points at.
    """
    count = len(site)
    address = np.uint64(BASE) + np.array([physical(i) for i in range(count)], np.uint64)
    memory = np.zeros(count * 512, np.uint64)
    for (page, index), word in words.items():
        memory[page * 512 + index] = word

    def read(addresses: U64) -> tuple[U64, Bool]:
        return memory[(addresses - address[0]) // np.uint64(8)], np.ones(len(addresses), np.bool_)

    nodes = Nodes(
        address,
        np.full(count, 4096, np.int64),
        np.ones(count, np.int64),
        np.array(site, np.int32),
        np.full(count, NodeKind.PAGES, np.uint8),
        np.zeros(count, np.bool_),
    )
    heap = SimpleNamespace(
        nodes=nodes,
        direct_map=BASE,
        page=PageSize(12),
        frames_of=lambda addresses: ((addresses - np.uint64(BASE)) >> np.uint64(12)).view(np.int64),
        index=SimpleNamespace(sections=[MemorySection(PFN, count, 0, 0)]),
        of_pages=lambda pfn: np.where((pfn >= PFN) & (pfn < PFN + count), pfn - PFN, -1),
    )
    return Graph(
        nodes,
        [VARIABLE, DEVICE],
        np.full(len(held), count, np.int32),
        np.array(held, np.int32),
        np.zeros(count, np.bool_),
        np.zeros(0, np.int32),
        [],
        cast(Any, SimpleNamespace)(
            memory=SimpleNamespace(words=read, prog=Program()),
            heap=heap,
            kernel=SimpleNamespace(
                max_order=10, arch=SimpleNamespace(tables=Tables(PageSize(12), (9,) * 4))
            ),
            physical_root=-3,
            links=SimpleNamespace(number=lambda code: (count - 2 - code).astype(np.int32)),
        ),
    )


def names(found: Graph) -> list[str]:
    return [Verdict(v).name for v in reach(found).verdict]


def entry(page: int, flags: int = 0x8000_0000_0000_0807) -> int:
    """An entry of a nested page table: no execution by users, and the lowest bits."""
    return physical(page) | flags


@pytest.mark.parametrize("flags", [0x8000_0000_0000_0807, 3, 7, 0x6000_0000_0000_0601, 1 << 63])
def test_a_table_holds_the_tables_that_its_entries_name(flags: int) -> None:
    """Of KVM (AMD), Intel's IOMMU, KVM (Intel), AMD's IOMMU, Arm's ITS; level by level."""
    words = {(0, 5): entry(1, flags), (1, 511): entry(2, flags)}
    assert names(graph([0, 0, 0, 0], words, [0])) == ["HELD", "HELD", "HELD", "LOST"]


@pytest.mark.parametrize("flags", [0, 0xFFFF_8000_0000_0000, 0x4000_0000_0000_0000])
def test_an_entry_that_is_not_present_holds_nothing(flags: int) -> None:
    assert names(graph([0, 0], {(0, 5): entry(1, flags)}, [0])) == ["HELD", "LOST"]


def test_a_table_does_not_hold_what_other_functions_allocated() -> None:
    """What a last level maps is a guest's memory, or a driver's."""
    words = {(0, 5): entry(1), (0, 6): entry(2)}
    assert names(graph([0, 0, 1], words, [0])) == ["HELD", "HELD", "LOST"]


def test_tables_that_nobody_holds_are_lost() -> None:
    words = {(1, 5): entry(2), (2, 6): entry(1)}
    assert names(graph([0, 0, 0], words, [0])) == ["HELD", "LOST", "LOST"]


def test_a_page_whose_physical_address_somebody_has_is_undecided() -> None:
    """As kvm_amd has that of its I/O permission map."""
    without = graph([0, 1, 1], {}, [0])
    assert names(without) == ["HELD", "LOST", "LOST"]
    assert names(replace(without, mentioned=np.array([1, 2], np.int32))) == [
        "HELD",
        "UNDECIDED",
        "UNDECIDED",
    ]
    # One of two may be chance.
    assert names(replace(without, mentioned=np.array([1], np.int32))) == ["HELD", "LOST", "LOST"]


def test_leaks_says_why() -> None:
    found = reach(replace(graph([0, 1], {}, [0]), mentioned=np.array([1], np.int32)))
    sites = samples.sites(("a.c", 1, "f", "", 0, 0), ("b.c", 1, "svm", "", 0, 0))
    lost = leaks(found, sites).lost
    assert lost.confidence.tolist() == [LeakConfidence.UNDECIDED]
    assert lost.bytes.tolist() == [4096]
    assert lost.reason[0] == f"{DEVICE.name} may point at it"


def test_mentions_are_addresses_of_first_bytes() -> None:
    heap = graph([0, 0, 0], {}, []).scanner.heap
    mentions = Mentions(heap)
    words = [0, 4096, physical(1), physical(2) + 8, physical(3), 1 << 63, physical(1)]
    mentions.look(np.array(words, np.uint64), 0x5000)
    node, at = mentions.all()
    assert node.tolist() == [1]
    assert at.tolist() == [0x5010]
