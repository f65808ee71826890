# SPDX-License-Identifier: LGPL-2.1-or-later
"""Swap space.

Mirrors ``si_swapinfo()`` in ``mm/swapfile.c``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from drgn import Object, Program
from drgn.helpers.linux.swap import swap_usage_in_pages

from ...arch.base import page_size
from ...problems import Problem
from ..walk import ReadErrors, bounded_count, structure, walk

_DEVICES = structure("the table of swap devices", "swap device")


@dataclass(frozen=True)
class Swap:
    """All swap devices together; sizes in bytes."""

    total: int
    used: int
    problems: list[Problem] = field(default_factory=list, compare=False)


def swap_space(prog: Program) -> Swap | None:
    """Swap total and used; None if that is unreadable."""
    if not prog.symbols("total_swap_pages"):
        return Swap(0, 0)  # built without CONFIG_SWAP
    try:
        total, free = prog["total_swap_pages"].value_(), prog["nr_swap_pages"].counter.value_()
    except ReadErrors:
        return None
    # Devices that are being switched off are not in the totals any more.
    leaving = walk(prog, _DEVICES, lambda: _devices(prog), _leaving)
    total, free = total + sum(leaving), free + sum(leaving)
    shift = page_size(prog).shift
    return Swap(total << shift, total - free << shift, leaving.problems)


def _devices(prog: Program) -> Iterator[Object]:
    """Steps through all that were ever in use, as ``struct swap_info_struct *``."""
    devices = prog["swap_info"]
    most = devices.type_.length or 0
    for number in range(bounded_count(prog["nr_swapfiles"].value_(), most, "nr_swapfiles")):
        yield devices[number].read_()


def _leaving(device: Object) -> int:
    """Pages in use on a device that is being switched off."""
    used, writable = (device.prog_[name].value_() for name in ("SWP_USED", "SWP_WRITEOK"))
    leaving = device.flags.value_() & (used | writable) == used
    return int(swap_usage_in_pages(device)) if leaving else 0
