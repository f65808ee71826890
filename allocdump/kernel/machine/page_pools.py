# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools of pages that network devices receive into, by device.

Mirrors ``struct page_pool`` in ``include/net/page_pool/types.h``. The table of all pools is there
since Linux 6.8.
"""

from __future__ import annotations

from dataclasses import dataclass

from drgn import Object, Program

from ...text import printable
from ..walk import ReadErrors, Walked, structure, walk, xarray_entries

_POOLS = structure(
    "the table of page pools", "page pool", affects="pages of network rings count as other pages"
)
_MOST_PAGES_ORDER = 20


@dataclass(frozen=True)
class PagePool:
    """A ``struct page_pool``."""

    address: int
    device: str
    """Name of the network device that it fills the rings of; empty if it has none."""
    pages: int
    """Pages that it has handed out or keeps, by its own counters (``page_pool_inflight()``)."""


def page_pools(prog: Program) -> Walked[PagePool]:
    """All pools, and what was unreadable; none where the kernel has no table of them."""
    try:
        table = prog["page_pools"]
    except LookupError:
        return Walked([], [])
    return walk(prog, _POOLS, lambda: xarray_entries(table, "struct page_pool"), _pool)


def _pool(pool: Object) -> PagePool:
    entry = pool[0]
    held, released = entry.pages_state_hold_cnt.value_(), entry.pages_state_release_cnt
    inflight = (held - released.counter.value_()) & 0xFFFF_FFFF
    # The counters are of 32 bits, and go around.
    inflight = inflight if inflight < 1 << 31 else 0
    order = min(entry.p.order.value_(), _MOST_PAGES_ORDER)
    # Memory of a device, or of a task, is no page of the kernel's.
    provided = entry.type_.has_member("mp_ops") and entry.mp_ops.value_()
    return PagePool(pool.value_(), _device(entry), 0 if provided else inflight << order)


def _device(pool: Object) -> str:
    try:
        device = pool.slow.netdev
        return printable(device.name.string_()) if device else ""
    except ReadErrors:
        return ""
