# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sums over call sites in which no byte is counted twice.

The kernel counts slab memory, and per-CPU memory, by its pages and again by the objects in
them. Sums and ranks take the objects, each at its site, and leave the pages out. The room in
those pages that no object uses is then in no sum: no counter tells how much that is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Int
from ..kernel.tags.roles import Role
from ..kernel.tags.sites import Sites


@dataclass(frozen=True)
class LeftOut:
    """Pages of one role that a sum leaves out, since the objects in them are in it."""

    role: Role
    bytes: int
    sites: int
    """Number of their sites."""


@dataclass(frozen=True)
class Total:
    """A sum over sites."""

    bytes: int
    """Without those of *left_out*."""
    calls: int
    """Likewise."""
    sites: int
    """Number of all sites."""
    left_out: tuple[LeftOut, ...] = ()

    @property
    def added(self) -> int:
        """Number of sites in the sum."""
        return self.sites - sum(one.sites for one in self.left_out)


def counted_once(sites: Sites, values: Int) -> Int:
    """The *values* of sites to add up and to rank by: zero for pages whose objects have sites."""
    return np.where(sites.backing, 0, values)


def total(sites: Sites) -> Total:
    """Sums over sites."""
    role = sites.role
    once = sites.take(~sites.backing)
    return Total(
        bytes=int(once.bytes.sum()),
        calls=int(once.calls.view(np.int64).sum()),
        sites=len(sites),
        left_out=tuple(
            LeftOut(one, int(sites.bytes[role == one].sum()), int(np.count_nonzero(role == one)))
            for one in Role
            if one.backing and (role == one).any()
        ),
    )
