# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fragmentation: what lies between free pages, and whether it can be moved away.

The buddy allocator hands out pieces of 2^order pages that begin at multiples of that size. A piece
that has free pages, but also others, can be put together by compaction if all others are movable:
those of tasks and of the page cache (``isolate_migratepages_block()`` in ``mm/compaction.c``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..kernel.mm.page_types import PageKind
from ..kernel.mm.pagemap import Part

_MOVABLE = (PageKind.ANONYMOUS, PageKind.CACHE, PageKind.SHMEM, PageKind.HUGETLB)
_NO_MEMORY = (PageKind.RESERVED, PageKind.OFFLINE, PageKind.UNREADABLE)
"""Pieces with any of these are no pieces."""


@dataclass
class Fragments:
    """Pieces of one order; counts of pieces, and pages."""

    order: int
    free: int = 0
    """Free as a whole."""
    movable: int = 0
    """Not in use but by pages that can be moved."""
    blocked: int = 0
    """Pieces with free pages, and with such as cannot be moved."""
    free_pages: int = 0
    """Free pages of blocked pieces."""
    between: dict[int, int] = field(default_factory=dict)
    """Pages that cannot be moved, of blocked pieces, by row of their origin; -1 for none."""


class FragmentCounter:
    """Counts the pieces of an order in the parts of a page map.

    :param order: up to that of the largest free block
    """

    def __init__(self, order: int) -> None:
        self.result = Fragments(order)

    def part(self, part: Part) -> None:
        """Count in one part, which begins at a piece."""
        frames, size = part.frames, 1 << self.result.order
        count = len(frames.kind) // size
        if not count:
            return
        kind = frames.kind[frames.head][: count * size].reshape(count, size)
        site = frames.site[frames.head][: count * size].reshape(count, size)
        free = np.isin(kind, (PageKind.FREE, PageKind.FREE_PCP))
        fixed = ~free & ~np.isin(kind, _MOVABLE)
        real = ~np.isin(kind, _NO_MEMORY).any(axis=1)
        out = self.result
        all_free, any_free, any_fixed = free.all(axis=1), free.any(axis=1), fixed.any(axis=1)
        blocked = real & any_free & any_fixed
        out.free += int(np.count_nonzero(real & all_free))
        out.movable += int(np.count_nonzero(real & ~all_free & ~any_fixed))
        out.blocked += int(np.count_nonzero(blocked))
        out.free_pages += int(np.count_nonzero(free[blocked]))
        self._between(site[blocked][fixed[blocked]])

    def _between(self, sites: npt.NDArray[np.integer]) -> None:
        rows, counts = np.unique(np.maximum(sites, -1), return_counts=True)
        between = self.result.between
        for row, n in zip(rows.tolist(), counts.tolist(), strict=True):
            between[row] = between.get(row, 0) + n
