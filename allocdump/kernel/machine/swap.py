# SPDX-License-Identifier: LGPL-2.1-or-later
"""Swap space.

Mirrors ``si_swapinfo()`` in ``mm/swapfile.c``.
"""

from __future__ import annotations

from dataclasses import dataclass

from drgn import Program
from drgn.helpers.linux.swap import swap_total_usage

from ..walk import ReadErrors


@dataclass(frozen=True)
class Swap:
    """All swap devices together; sizes in bytes."""

    total: int
    used: int


def swap_space(prog: Program) -> Swap | None:
    """Swap total and used; None if that is unreadable."""
    if not prog.symbols("total_swap_pages"):
        return Swap(0, 0)  # built without CONFIG_SWAP
    try:
        usage = swap_total_usage(prog)
    except ReadErrors:
        return None
    return Swap(usage.pages << 12, usage.used_pages << 12)
