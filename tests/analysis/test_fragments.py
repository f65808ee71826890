# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pieces of free memory, against the kernel's own lists of them."""

from __future__ import annotations

import pytest

from allocdump.analysis.fragments import FragmentCounter
from allocdump.kernel.machine.zones import zone_states

from ..dumpdata import core, open_core


@pytest.mark.parametrize("order", [1, 3])
def test_pieces(order: int) -> None:
    """Whole ones are those of the buddy allocator, and such as CPUs' lists complete."""
    dump = open_core(core("7.3-after"))
    counter = FragmentCounter(order)
    dump.pagemap.show(counter)
    found = counter.result
    zones, _ = zone_states(dump.kernel)
    # The largest free blocks are not looked at.
    blocks = [sum(zone.free_blocks[n] for zone in zones) << (n - order) for n in range(order, 10)]
    assert sum(blocks) <= found.free <= sum(blocks) + sum(zone.pcp or 0 for zone in zones)
    assert found.blocked <= found.free_pages < found.blocked << order
    pages = sum(found.between.values())
    assert found.blocked <= pages <= (found.blocked << order) - found.free_pages
    assert max(found.between, key=lambda row: found.between[row]) >= 0
