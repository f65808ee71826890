# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory by the stacks that allocated it, where the kernel kept those."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import I32, U32, Columns, Int, sum_by
from ..kernel.mm.allocations import ObjectReader, page_batch
from ..kernel.mm.pagemap import PageMap, Part


@dataclass
class StackUse(Columns):
    """Memory of each stack, slab cache and site; columns of one length."""

    handle: U32
    """0 where no stack was kept."""
    site: I32
    """Row of the origin."""
    cache: I32
    """Index of the slab cache; -1 for pages."""
    bytes: Int
    allocations: Int


class StackAdder:
    """Adds up allocations by stack in the parts of a page map."""

    def __init__(self, pagemap: PageMap, objects: ObjectReader) -> None:
        self._pagemap, self._objects = pagemap, objects
        self._parts: list[StackUse] = []

    def part(self, part: Part) -> None:
        """Add one part."""
        kept = self._pagemap.stacks
        pages = page_batch(part, self._pagemap)
        none = np.full(len(pages), -1, np.int32)
        size = pages.pages << self._pagemap.kernel.page.shift
        one = np.ones(len(pages), np.int64)
        self._parts.append(summed(StackUse(kept.of_pages(pages.pfn), pages.site, none, size, one)))
        for batch in self._objects.of_slabs(part):
            handle = kept.of_objects(batch.address, batch.cache)
            one = np.ones(len(batch), np.int64)
            self._parts.append(summed(StackUse(handle, batch.site, batch.cache, batch.size, one)))

    def result(self) -> StackUse:
        """All sums, most first."""
        none = np.zeros(0, np.int64)
        empty = StackUse(
            none.astype(np.uint32), none.astype(np.int32), none.astype(np.int32), none, none
        )
        found = summed(StackUse.concatenate([empty, *self._parts]))
        return found.take(np.argsort(-found.bytes, kind="stable"))


def summed(use: StackUse) -> StackUse:
    """One row for each stack, cache and site."""
    order = np.lexsort((use.cache, use.site, use.handle))
    use = use.take(order)
    same = (np.diff(use.handle) == 0) & (np.diff(use.site) == 0) & (np.diff(use.cache) == 0)
    first = np.flatnonzero(np.append(True, ~same)) if len(use) else np.zeros(0, np.intp)
    where = np.cumsum(np.append(False, ~same)) if len(use) else np.zeros(0, np.intp)
    out = use.take(first)
    out.bytes = sum_by(where, use.bytes, len(first))
    out.allocations = sum_by(where, use.allocations, len(first))
    return out
