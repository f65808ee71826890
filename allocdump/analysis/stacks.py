# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory by the stacks that allocated it, where the kernel kept those."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import I32, Columns, Int, sum_by
from ..kernel.mm.allocations import ObjectReader, page_batch
from ..kernel.mm.pagemap import PageMap, Part
from ..kernel.stacks.names import StackNames


@dataclass
class StackUse(Columns):
    """Memory of each stack, slab cache and site; columns of one length."""

    stack: Int
    """Its code, for :class:`.names.StackNames`; 0 where no stack was kept."""
    site: I32
    """Row of the origin."""
    cache: I32
    """Index of the slab cache; -1 for pages."""
    bytes: Int
    allocations: Int

    @classmethod
    def none(cls) -> StackUse:
        """That of a kernel that kept no stacks."""
        none = np.zeros(0, np.int64)
        few = none.astype(np.int32)
        return cls(none, few, few, none, none)


class StackAdder:
    """Adds up allocations by stack in the parts of a page map."""

    def __init__(self, pagemap: PageMap) -> None:
        self._pagemap, self._objects = pagemap, ObjectReader(pagemap)
        self._names = StackNames(pagemap.stacks, pagemap.origins.code)
        self._parts: list[StackUse] = []

    def part(self, part: Part) -> None:
        """Add one part."""
        pages = page_batch(part, self._pagemap)
        none = np.full(len(pages), -1, np.int32)
        stack = self._names.codes(pages.address, pages.pfn, none)
        self._add(stack, pages.site, none, pages.pages << self._pagemap.kernel.page.shift)
        for batch in self._objects.of_slabs(part):
            nowhere = np.full(len(batch), -1, np.int64)
            stack = self._names.codes(batch.address, nowhere, batch.cache)
            self._add(stack, batch.site, batch.cache, batch.size)

    def _add(self, stack: Int, site: I32, cache: I32, size: Int) -> None:
        one = np.ones(len(stack), np.int64)
        self._parts.append(summed(StackUse(stack, site, cache, size, one)))

    def result(self) -> StackUse:
        """All sums, most first."""
        found = summed(StackUse.concatenate([StackUse.none(), *self._parts]))
        return found.take(np.argsort(-found.bytes, kind="stable"))


def summed(use: StackUse) -> StackUse:
    """One row for each stack, cache and site."""
    order = np.lexsort((use.cache, use.site, use.stack))
    use = use.take(order)
    same = (np.diff(use.stack) == 0) & (np.diff(use.site) == 0) & (np.diff(use.cache) == 0)
    first = np.flatnonzero(np.append(True, ~same)) if len(use) else np.zeros(0, np.intp)
    where = np.cumsum(np.append(False, ~same)) if len(use) else np.zeros(0, np.intp)
    out = use.take(first)
    out.bytes = sum_by(where, use.bytes, len(first))
    out.allocations = sum_by(where, use.allocations, len(first))
    return out
