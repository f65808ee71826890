# SPDX-License-Identifier: LGPL-2.1-or-later
"""All memory that has a call site or another origin, by references, every byte once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays import Bool, Int
from ..kernel.kernel import Kernel
from ..kernel.mm.allocations import ObjectBatch, PageBatch
from ..kernel.tags.sites import Sites
from .groups import Sums
from .keys import Allocations

SUMS = ("bytes", "calls")


def memory(
    origins: Sites,
    pages: Iterable[PageBatch],
    objects: Iterable[ObjectBatch],
    *,
    kernel: Kernel,
) -> Iterator[tuple[Allocations, Sums]]:
    """Objects, and pages that have no objects in them, with their bytes.

    Per-CPU objects have those of all CPUs' copies.

    """
    cpus, page = len(kernel.cpus), kernel.page
    backing = origins.backing
    for batch in pages:
        known = batch.take(batch.site >= 0)
        alone = known.take(~backing[known.site])
        yield Allocations.of_pages(alone), _sums(alone.pages << page.shift)
    for found in objects:
        some = found.take(found.site >= 0)
        size = np.where(some.cache >= 0, some.size, some.size * cpus)
        yield Allocations.of_objects(some, kernel), _sums(size)


def _sums(size: Int) -> Sums:
    return {"bytes": size, "calls": np.ones(len(size), np.int64)}


@dataclass(frozen=True)
class MemoryTotal:
    """Memory of all call sites, by references."""

    bytes: int
    calls: int
    sites: int
    """Number of those that have any."""


@dataclass
class OfSites:
    """The part of memory that call sites have; its total is known after the last part.

    :param parts: all memory
    :param tagged: number of call sites, whose rows come first
    :param chosen: marks the call sites that are wanted, shape (*tagged*,)
    """

    parts: Iterable[tuple[Allocations, Sums]]
    tagged: int
    chosen: Bool

    def __post_init__(self) -> None:
        self._bytes = self._calls = 0
        self._seen = np.zeros(self.tagged, np.bool_)

    def __iter__(self) -> Iterator[tuple[Allocations, Sums]]:
        """Parts of the chosen sites."""
        for allocations, sums in self.parts:
            of_site = allocations.site < self.tagged
            rows = allocations.site[of_site]
            self._seen[rows] = True
            self._bytes += int(sums["bytes"][of_site].sum())
            self._calls += len(rows)
            keep = of_site.copy()
            keep[of_site] = self.chosen[rows]
            yield allocations.take(keep), {name: sums[name][keep] for name in SUMS}

    def total(self) -> MemoryTotal:
        """Sums over all call sites."""
        return MemoryTotal(self._bytes, self._calls, int(np.count_nonzero(self._seen)))
