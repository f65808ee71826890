# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nodes of the graph as allocations that keys can be asked of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..arrays import Bool, Columns, Int, ranges
from ..graph.nodes import NodeKind, Nodes
from ..kernel.machine.charged import UNREADABLE
from ..kernel.mm.allocations import ObjectBatch, PageBatch
from ..kernel.mm.page_types import PageKind
from ..kernel.mm.pagemap import PageMap
from .groups import Sums
from .keys import Allocations

if TYPE_CHECKING:
    from .leaks import Leaks


@dataclass
class Placed(Columns):
    """Parts of nodes; columns of shape (number of parts,).

    Vmalloc areas have a part for each allocation of pages in them, all other nodes one.
    """

    node: Int
    """Index of the node."""
    allocations: Allocations
    size: Int
    """Bytes of the part."""
    calls: Int
    """Allocations in the part."""
    first: Int
    """1 in the first part of each node, 0 in the others."""


def placed(
    nodes: Nodes, pagemap: PageMap, pages: Iterable[PageBatch], objects: Iterable[ObjectBatch]
) -> Placed:
    """Find the allocations that nodes are.

    :param pages: all allocations of pages
    :param objects: all objects
    """
    return _Placer(nodes, pagemap).place(pages, objects)


def lost_sums(found: Leaks, parts: Placed, wanted: Bool) -> tuple[Allocations, Sums]:
    """Lost and held allocations of the origins that lost memory.

    :param wanted: marks these, shape (number of origins,)
    """
    count = len(found.graph.nodes)
    lost, undecided, heads = np.zeros((3, count), np.bool_)
    lost[found.node[found.is_lost]] = True
    undecided[found.node[~found.is_lost]] = True
    heads[found.node[found.head == found.node]] = True
    parts = parts.take(wanted[parts.allocations.site])
    gone = (lost | undecided)[parts.node]
    sums = {
        "lost": np.where(lost[parts.node], parts.size, 0),
        "undecided": np.where(undecided[parts.node], parts.size, 0),
        "allocations": np.where(gone, parts.calls, 0),
        "held": np.where(gone, 0, parts.size),
        "held_allocations": np.where(gone, 0, parts.calls),
        "heads": np.where(heads[parts.node], parts.first, 0),
    }
    return parts.allocations, sums


class _Placer:
    def __init__(self, nodes: Nodes, pagemap: PageMap) -> None:
        self.nodes, count = nodes, len(nodes)
        self.kernel = pagemap.kernel
        self.areas, self.area_pages = _pages_of_areas(nodes, pagemap)
        none = np.full(count, -1, np.int64)
        # What is found nowhere is charged to nobody knows whom.
        self.found = Allocations(
            nodes.site,
            nodes.address,
            none,
            none.copy(),
            np.full(count, PageKind.UNREADABLE, np.uint8),
            np.full(count, -2, np.int32),
            np.full(count, UNREADABLE, np.int32),
        )
        self.parts: list[tuple[Int, Allocations, Int]] = []

    def place(self, pages: Iterable[PageBatch], objects: Iterable[ObjectBatch]) -> Placed:
        """All parts of all nodes."""
        of_pages = _Finder(self.nodes, NodeKind.PAGES)
        for batch in pages:
            allocations = Allocations.of_pages(batch)
            self._fill(of_pages, allocations)
            self._part(allocations, batch.pages << self.kernel.page.shift)
        of_slabs = _Finder(self.nodes, NodeKind.OBJECT)
        of_percpu = _Finder(self.nodes, NodeKind.PERCPU)
        for some in objects:
            allocations = Allocations.of_objects(some, self.kernel)
            slab = some.cache >= 0
            self._fill(of_slabs, allocations.take(slab))
            self._fill(of_percpu, allocations.take(~slab))
        return self._whole()

    def _fill(self, finder: _Finder, allocations: Allocations) -> None:
        node, row = finder.find(allocations)
        for name, into in self.found.to_dict().items():
            if name != "site":
                into[node] = allocations.to_dict()[name][row]

    def _part(self, allocations: Allocations, size: Int) -> None:
        """Keep those allocations that lie in areas."""
        if not len(self.area_pages):
            return
        at = np.searchsorted(self.area_pages, allocations.pfn).clip(max=len(self.area_pages) - 1)
        inside = self.area_pages[at] == allocations.pfn
        if inside.any():
            self.parts.append((self.areas[at[inside]], allocations.take(inside), size[inside]))

    def _whole(self) -> Placed:
        nodes = self.nodes
        whole = np.flatnonzero(nodes.kind != NodeKind.VMALLOC)
        node = [whole, *(of for of, _, _ in self.parts)]
        size = [nodes.size[whole], *(size for _, _, size in self.parts)]
        calls = [nodes.calls[whole], *(np.ones(len(of), np.int64) for of, _, _ in self.parts)]
        # What is missing of an area is a part of its own.
        at, sizes, counts = map(np.concatenate, (node, size, calls))
        rest = nodes.size - np.bincount(at, sizes, len(nodes)).astype(np.int64)
        uncalled = nodes.calls - np.bincount(at, counts, len(nodes)).astype(np.int64)
        missing = np.flatnonzero((nodes.kind == NodeKind.VMALLOC) & ((rest != 0) | (uncalled != 0)))
        allocations = Allocations.concatenate(
            [
                self.found.take(whole),
                *(part for _, part, _ in self.parts),
                self.found.take(missing),
            ]
        )
        at = np.concatenate([at, missing])
        allocations.site = nodes.site[at]
        first = np.zeros(len(at), np.int64)
        first[np.unique(at, return_index=True)[1]] = 1
        return Placed(
            at,
            allocations,
            np.concatenate([sizes, rest[missing]]),
            np.concatenate([counts, uncalled[missing]]),
            first,
        )


class _Finder:
    """Finds nodes of one kind by their addresses."""

    def __init__(self, nodes: Nodes, kind: NodeKind) -> None:
        node = np.flatnonzero(nodes.kind == kind)
        order = np.argsort(nodes.address[node])
        self._node, self._address = node[order], nodes.address[node][order]

    def find(self, allocations: Allocations) -> tuple[Int, npt.NDArray[np.intp]]:
        """Nodes, and for each the row of the allocation that it is."""
        if not len(self._address):
            return np.zeros(0, np.int64), np.zeros(0, np.intp)
        at = np.searchsorted(self._address, allocations.address).clip(max=len(self._address) - 1)
        row = np.flatnonzero(self._address[at] == allocations.address)
        return self._node[at[row]], row


def _pages_of_areas(nodes: Nodes, pagemap: PageMap) -> tuple[Int, Int]:
    """Nodes of vmalloc areas and page frames in them, ascending by page frame."""
    numbers = np.flatnonzero(nodes.kind == NodeKind.VMALLOC)
    by_start = dict(zip(nodes.address[numbers].tolist(), numbers.tolist(), strict=True))
    mine = [
        area
        for area in pagemap.origins.areas
        if area.start in by_start and area.page_array and 0 < area.pages <= pagemap.pages
    ]
    count = np.array([a.pages for a in mine], np.int64)
    arrays = np.array([a.page_array for a in mine], np.uint64)
    node = np.repeat(np.array([by_start[a.start] for a in mine], np.int64), count)
    places = np.repeat(arrays, count) + ranges(count).astype(np.uint64) * np.uint64(8)
    words, _ = pagemap.origins.memory.words(places)
    pfn, which = np.unique(pagemap.frames.pfn_of(words), return_index=True)
    return node[which], pfn
