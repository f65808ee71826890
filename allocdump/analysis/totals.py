# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages and objects by site, summed over batches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..arch.base import PageSize
from ..arrays import Columns, Int, sum_by
from ..kernel.mm.allocations import ObjectBatch, ObjectReader, PageBatch, Zone
from ..kernel.mm.pagemap import PageMap, Part

_ORDERS = 32
"""More than there are: a page of 16 GiB, the largest of any processor, has order 22 at most."""


@dataclass
class PageFilter:
    """Choice of page allocations; None is any."""

    sites: npt.NDArray[np.bool_]
    """Shape (number of sites,)."""
    order: int | None = None
    zones: list[Zone] | None = None

    def choose(self, batch: PageBatch) -> PageBatch:
        keep = batch.site >= 0
        keep &= self.sites[np.where(keep, batch.site, 0)]
        if self.order is not None:
            keep &= batch.pages == 1 << self.order
        if self.zones is not None:
            inside = np.zeros(len(keep), np.bool_)
            for zone in self.zones:
                inside |= (batch.pfn >= zone.pfn) & (batch.pfn < zone.pfn + zone.spanned)
            keep &= inside
        return batch.take(keep)


@dataclass
class PageTotals:
    """Pages by site, largest first; columns of shape (number of rows,)."""

    site: Int
    pages: Int
    calls: Int
    inferred: Int
    """Pages whose order was inferred."""
    orders: Int
    """Number of allocations by order: shape (number of rows, 32)."""


def page_totals(batches: Iterable[PageBatch], sites: int) -> PageTotals:
    """Add up pages by site."""
    pages, calls, inferred = np.zeros((3, sites), np.int64)
    orders = np.zeros((sites, _ORDERS), np.int64)
    for batch in batches:
        pages += sum_by(batch.site, batch.pages, sites)
        calls += np.bincount(batch.site, minlength=sites)
        inferred += sum_by(batch.site, np.where(batch.inferred, batch.pages, 0), sites)
        order = np.minimum(np.log2(batch.pages), _ORDERS - 1).astype(np.int64)
        cells = np.bincount(batch.site * _ORDERS + order, minlength=orders.size)
        orders += cells.reshape(orders.shape)
    rows = np.flatnonzero(pages)
    rows = rows[np.argsort(-pages[rows], kind="stable")]
    return PageTotals(rows, pages[rows], calls[rows], inferred[rows], orders[rows])


def page_sums(batch: PageBatch, page: PageSize) -> dict[str, Int]:
    """Numbers of allocations of pages that can be added up."""
    return {
        "bytes": batch.pages << page.shift,
        "pages": batch.pages,
        "allocations": np.ones(len(batch), np.int64),
        "inferred_pages": np.where(batch.inferred, batch.pages, 0),
    }


def object_sums(batch: ObjectBatch) -> dict[str, Int]:
    """Numbers of objects that can be added up."""
    return {
        "bytes": batch.size,
        "objects": np.ones(len(batch), np.int64),
        "used": batch.used,
        "lost": batch.size - batch.used,
    }


@dataclass
class ObjectFilter:
    """Choice of objects; caches None is any, per-CPU objects included."""

    sites: npt.NDArray[np.bool_]
    caches: npt.NDArray[np.bool_] | None = None
    """Shape (number of caches,)."""

    def choose(self, batch: ObjectBatch) -> ObjectBatch:
        keep = batch.site >= 0
        keep &= self.sites[np.where(keep, batch.site, 0)]
        if self.caches is not None:
            of_slab = batch.cache >= 0
            keep &= of_slab & self.caches[np.where(of_slab, batch.cache, 0)]
        return batch.take(keep)


@dataclass
class ObjectTotals(Columns):
    """Objects by site and cache, largest first; columns of shape (number of rows,)."""

    site: Int
    cache: Int
    """-1 for per-CPU objects."""
    objects: Int
    bytes: Int
    used: Int
    """Bytes that their users can use; the rest is lost to alignment and metadata."""


class ObjectAdder:
    """Adds up the objects that have a site in the parts of a page map."""

    def __init__(self, pagemap: PageMap) -> None:
        self._reader = ObjectReader(pagemap)
        self._cells: list[Int] = []

    def part(self, part: Part) -> None:
        """Count the slab objects of one part."""
        self._add(self._reader.of_slabs(part))

    def result(self) -> ObjectTotals:
        """All sums, after the last part."""
        self._add(self._reader.of_percpu())
        return _totals(self._cells, len(self._reader.caches))

    def _add(self, batches: Iterable[ObjectBatch]) -> None:
        for batch in batches:
            self._cells.append(_cells(batch.take(batch.site >= 0), len(self._reader.caches)))


def object_totals(batches: Iterable[ObjectBatch], caches: int) -> ObjectTotals:
    """Add up objects by site and cache."""
    return _totals([_cells(batch, caches) for batch in batches], caches)


def _cells(batch: ObjectBatch, caches: int) -> Int:
    """Cell, objects, bytes and used bytes, shape (4, cells).

    A cell is a site and a cache. Few of all those possible are in use.
    """
    cell, where = np.unique(
        batch.site.astype(np.int64) * (caches + 1) + batch.cache + 1, return_inverse=True
    )
    count = np.bincount(where, minlength=len(cell))
    totals = (sum_by(where, values, len(cell)) for values in (batch.size, batch.used))
    return np.stack([cell, count, *totals])


def _totals(parts: list[Int], caches: int) -> ObjectTotals:
    cells, *columns = np.concatenate([np.zeros((4, 0), np.int64), *parts], axis=1)
    cell, where = np.unique(cells, return_inverse=True)
    count, size, used = (sum_by(where, column, len(cell)) for column in columns)
    rows = np.argsort(-size, kind="stable")
    cell = cell[rows]
    return ObjectTotals(
        cell // (caches + 1), cell % (caches + 1) - 1, count[rows], size[rows], used[rows]
    )
