# SPDX-License-Identifier: LGPL-2.1-or-later
"""Slabs that hold one another's extension vectors, so that none of them can be given back.

The vector of a slab's extensions is an object of a kmalloc cache. Where the slab of that object
has its own vector in the first slab, or in one that leads back to it, each waits for another to
become empty: Linux kernel commit d9e6a7623938 ("mm/slab: prevent unbounded recursion in free
path with new kmalloc type").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..arch.base import PageSize
from ..arrays import U64, Int
from ..kernel.mm.slab import Slabs


@dataclass(frozen=True)
class VectorCycles:
    """Slabs whose vectors lead in circles."""

    slabs: int = 0
    bytes: int = 0


class VectorFinder:
    """Takes all slabs; :meth:`result` is those whose vectors lead in circles."""

    def __init__(self, page: PageSize) -> None:
        self._page = page
        self._parts: list[tuple[U64, U64, Int]] = []

    def add(self, slabs: Slabs) -> None:
        """Take some slabs."""
        rows = ~slabs.kfence
        size = np.int64(1) << slabs.order[rows].astype(np.int64) + self._page.shift
        self._parts.append((slabs.address[rows], slabs.vector[rows], size))

    def result(self) -> VectorCycles:
        """After the last slabs."""
        if not self._parts:
            return VectorCycles()
        address, vector, size = map(np.concatenate, zip(*self._parts, strict=True))
        order = np.argsort(address)
        address, vector, size = address[order], vector[order], size[order]
        inside = in_circles(_holder(address, vector, size))
        return VectorCycles(int(np.count_nonzero(inside)), int(size[inside].sum()))


def _holder(address: U64, vector: U64, size: Int) -> npt.NDArray[np.intp]:
    """The slab that each slab's vector lies in; itself or none counts as none: their number."""
    count = len(address)
    which = np.searchsorted(address, vector, side="right").astype(np.intp) - 1
    known = np.maximum(which, 0)
    within = (which >= 0) & (vector - address[known] < size[known].astype(np.uint64))
    within &= (vector != 0) & (which != np.arange(count))
    return np.where(within, known, count)


def in_circles(follows: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Mark the nodes that lead back to themselves.

    :param follows: the one node that each node leads to; their number if it is none
    """
    count = len(follows)
    after = np.append(follows, count)
    # After as many steps as there are nodes, one is in a circle, or at an end.
    for _ in range(count.bit_length()):
        after = after[after]
    inside = np.zeros(count + 1, np.bool_)
    inside[after] = True
    return inside[:count]
