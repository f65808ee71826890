# SPDX-License-Identifier: LGPL-2.1-or-later
"""Batches of packets that each CPU keeps, in real dumps."""

from __future__ import annotations

import numpy as np
import pytest
from drgn import Object

from allocdump.graph.folio_batches import unused_slots
from allocdump.graph.nodes import NOTHING

from ..dumpdata import core, open_core


@pytest.mark.parametrize(
    ("folder", "counts", "all_given"),
    [
        ("stock-6.12-sockets", [14, 14], [False, False]),
        ("stock-6.12-quiet", [0, 12], [True, True]),
        ("stock-7.3-inodes", [12, 0], []),
    ],
)
def test_packets_that_were_taken(folder: str, counts: list[int], all_given: list[bool]) -> None:
    """Packets beyond the count are others' now, and a page of which all parts were given."""
    dump = open_core(core(folder))
    unused = unused_slots(dump.kernel)
    cache = dump.prog["napi_alloc_cache"]
    copies = [
        Object(dump.prog, cache.type_, address=(cache.address_ + offset) % (1 << 64))
        for offset in dump.kernel.cpus.offsets.tolist()
    ]
    assert [copy.skb_count.value_() for copy in copies] == counts

    def is_unused(place: Object) -> bool:
        return bool(unused.find(np.array([place.address_], np.uint64))[0] != NOTHING)

    for copy, count in zip(copies, counts, strict=True):
        slots = [is_unused(copy.skb_cache[i]) for i in range(len(copy.skb_cache))]
        assert slots == [False] * count + [True] * (len(slots) - count)
    if all_given:
        assert [is_unused(copy.page_small.va) for copy in copies] == all_given
