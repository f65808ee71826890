# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages that are pointed at by physical address: tables of processors and of devices.

A processor, a guest's processor and an IOMMU walk tables of pages by physical addresses:
``arch/x86/kvm/mmu/spte.h``, ``drivers/iommu/generic_pt/fmt``, ``drivers/iommu/intel/iommu.h``,
``drivers/iommu/amd/amd_iommu_types.h``. All entries have the address in bits 12 to 51, and the
lowest three bits of one that leads to a further table are not all zero. Tables of an interrupt
controller of aarch64 have bit 63 instead: GITS_BASER_VALID in ``drivers/irqchip/irq-gic-v3-its.c``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import I32, U64, Bool
from .nodes import Heap, NodeKind

if TYPE_CHECKING:
    from .edges import Graph

_PRESENT = np.uint64(7)
_FLAGS_SHIFT, _VALID = np.uint64(52), np.uint64(1 << 11)
"""Bit 63, and none of the others above an address: pointers have them all."""
_LOW = np.uint64(1 << 20)
"""Numbers below are counts and sizes rather than addresses."""
_BATCH = 256
"""Pages that are looked at together."""


def table_links(graph: Graph, reached: Bool) -> tuple[I32, I32]:
    """Links from tables to further tables: between pages of one call site, by their entries.

    Only sites are looked at that have lost pages, and others that are held: who walks the
    tables has the address of the first.

    :param reached: shape (nodes,)
    """
    nodes = graph.nodes
    page = np.flatnonzero(nodes.kind == NodeKind.PAGES).astype(np.int32)
    site = nodes.site[page]
    some = np.intersect1d(site[~reached[page]], site[reached[page]])
    page = page[np.isin(site, some)]
    links = [(np.zeros(0, np.int32), np.zeros(0, np.int32))]
    for holder, words in _words(graph, page):
        entry = np.flatnonzero((words & _PRESENT != 0) | (words >> _FLAGS_SHIFT == _VALID))
        if not len(entry):
            continue
        address = graph.scanner.kernel.arch.tables.physical(words[entry])
        target = pages_at(graph.scanner.heap, address)
        source = holder[entry]
        good = (target >= 0) & (target != source)
        good[good] = nodes.site[target[good]] == nodes.site[source[good]]
        links.append((source[good].astype(np.int32), target[good].astype(np.int32)))
    source, target = (np.concatenate(part) for part in zip(*links, strict=True))
    return source, target


def _words(graph: Graph, page: I32) -> Iterator[tuple[I32, U64]]:
    """The words of pages, and the node that each is in."""
    nodes = graph.nodes
    bytes_ = graph.scanner.heap.page.bytes
    count = nodes.size[page] // bytes_
    node = np.repeat(page, count)
    start = nodes.address[node]
    first = np.repeat(np.cumsum(count) - count, count)
    start = start + (np.arange(len(node)) - first).astype(np.uint64) * np.uint64(bytes_)
    offsets = np.arange(0, bytes_, 8, dtype=np.uint64)
    for at in range(0, len(node), _BATCH):
        some = slice(at, at + _BATCH)
        words, _ = graph.scanner.memory.words((start[some, None] + offsets).ravel())
        yield np.repeat(node[some], len(offsets)), words


def pages_at(heap: Heap, physical: U64) -> I32:
    """The page allocations that begin at physical addresses; -1 for none: shape (n,)."""
    found = heap.of_pages((physical >> np.uint64(heap.page.shift)).view(np.int64))
    some = np.maximum(found, 0)
    begins = heap.nodes.address[some] == physical + np.uint64(heap.direct_map)
    is_page = heap.nodes.kind[some] == NodeKind.PAGES
    return np.where((found >= 0) & begins & is_page, found, -1).astype(np.int32)


class Mentions:
    """Places of words that are physical addresses of page allocations, wherever they begin.

    Of drivers and virtual machines, some keep nothing else. A number may look like that by
    chance, so this does not tell that memory is held.
    """

    def __init__(self, heap: Heap) -> None:
        self._heap = heap
        last = max((s.pfn + s.pages for s in heap.index.sections), default=0)
        self._span = np.uint64(max((last << heap.page.shift) - int(_LOW), 0))
        self._target: list[I32] = []
        self._at: list[U64] = []

    def look(self, words: U64, address: int) -> None:
        """Note those among *words*, which begin at an address."""
        some = np.flatnonzero(words - _LOW < self._span)
        some = some[words[some] & np.uint64(self._heap.page.bytes - 1) == 0]
        if not len(some):
            return
        target = pages_at(self._heap, words[some])
        hit = target >= 0
        self._target.append(target[hit])
        self._at.append(np.uint64(address) + some[hit].astype(np.uint64) * np.uint64(8))

    def all(self) -> tuple[I32, U64]:
        """Nodes and places, one for each node, ascending."""
        if not self._target:
            return np.zeros(0, np.int32), np.zeros(0, np.uint64)
        target, first = np.unique(np.concatenate(self._target), return_index=True)
        return target, np.concatenate(self._at)[first]


def explained(graph: Graph, reached: Bool, mentioned: I32) -> I32:
    """Pages that nothing reaches, of sites of which each such page is mentioned somewhere.

    One of thousands that is mentioned is chance.

    :param reached: shape (nodes,)
    :param mentioned: nodes whose physical address some word is
    """
    nodes = graph.nodes
    lost = np.flatnonzero(~reached & (nodes.kind == NodeKind.PAGES))
    seen = np.isin(lost, mentioned)
    other = np.unique(nodes.site[lost[~seen]])
    return lost[seen & ~np.isin(nodes.site[lost], other)].astype(np.int32)
