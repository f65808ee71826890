# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every allocation as a node, and which node an address is in.

Nodes are what has an origin, a call site or another: slab objects, page allocations, vmalloc
areas with their pages, per-CPU objects. All else that is in use belongs to a root
(:mod:`.roots`): it may hold pointers, but nobody judges whether it is still needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from ..arch.base import PageSize
from ..arrays import U64, Bool, Columns, Int
from ..kernel.mm.sections import MemorySection
from ..kernel.mm.slab import Cache
from ..kernel.mm.vmalloc import VmArea
from ..kernel.tags.references import Rows
from .roots import Roots

Codes = npt.NDArray[np.int32]
"""Numbers of nodes, :data:`NOTHING`, or :func:`root_code` of roots."""

NOTHING = -1
"""No node: free memory, or none."""


def root_code(root: int) -> int:
    """Number of a root among the numbers of nodes."""
    return -2 - root


class NodeKind(IntEnum):
    """Kinds of allocations."""

    OBJECT = 0
    PAGES = 1
    VMALLOC = 2
    PERCPU = 3


@dataclass
class Nodes(Columns):
    """Allocations with an origin; columns of shape (number of nodes,)."""

    address: U64
    """In the direct map; of vmalloc areas, in vmalloc space; of per-CPU objects, the
    per-CPU pointer."""
    size: Int
    """Bytes that it takes: of per-CPU objects, all CPUs' copies."""
    calls: Int
    """References to the site: one, or the page allocations of a vmalloc area."""
    site: Rows
    kind: npt.NDArray[np.uint8]
    """A :class:`NodeKind`."""
    tail: Bool
    """Marks single pages that were allocated as a part of a larger block, not at its start."""


class FrameIndex:
    """Numbers the page frames that exist, without gaps.

    :param page_size: bytes of a ``struct page``
    """

    def __init__(self, sections: list[MemorySection], page_size: int) -> None:
        self.sections = sections
        self.total = sum(s.pages for s in sections)
        self.page_size = page_size
        self._page_size = np.uint64(page_size)
        self._shift = np.int64(max((s.pages for s in sections), default=1).bit_length() - 1)
        last = max((s.pfn for s in sections), default=0) >> int(self._shift)
        # The number after the last one stands for frames that do not exist.
        self._first = np.full(last + 2, self.total, np.int64)
        self._mask = np.zeros(last + 2, np.int64)
        at = 0
        for section in sections:
            number = section.pfn >> int(self._shift)
            self._first[number], self._mask[number] = at, section.pages - 1
            at += section.pages
        self._memmap = np.array([s.memmap for s in sections], np.uint64)
        self._order = np.argsort(self._memmap)
        self._memmap = self._memmap[self._order]
        self._pages = np.array([s.pages for s in sections], np.uint64)[self._order]
        self._pfn = np.array([s.pfn for s in sections], np.int64)[self._order]

    def of_pfn(self, pfn: Int) -> Int:
        """Numbers of page frames; :attr:`total` for those that do not exist."""
        section = (pfn >> self._shift).view(np.uint64)
        section = np.minimum(section, len(self._first) - 1)
        return np.asarray(self._first[section] + (pfn & self._mask[section]))

    def pfn_of_struct_pages(self, addresses: U64) -> Int:
        """Page frames whose struct pages addresses point into; -1 for none."""
        if not len(self._memmap):
            return np.full(len(addresses), -1, np.int64)
        which = np.maximum(np.searchsorted(self._memmap, addresses, side="right") - 1, 0)
        index = (addresses - self._memmap[which]) // self._page_size
        found = index < self._pages[which]
        return np.where(found, self._pfn[which] + index.view(np.int64), -1)

    @property
    def memmap_bounds(self) -> tuple[int, int]:
        """Addresses between which all struct pages lie."""
        if not len(self._memmap):
            return 0, 0
        end = self._memmap[-1] + self._pages[-1] * self._page_size
        return int(self._memmap[0]), int(end)


@dataclass
class Blocks(Columns):
    """Runs of page frames with objects in them, one row each; row 0 is none."""

    address: U64
    """Of the first object, in the direct map."""
    stride: U64
    """Bytes from one object to the next."""
    used: U64
    """Bytes of an object that are its user's: what the allocator keeps in the rest, such as
    where the next free object was, holds nothing."""
    count: U64
    slot: Int
    """Index in :attr:`Heap.slots` of the node of the first object."""
    scan: Bool
    """Marks contents that may hold pointers that count."""
    slab: Bool
    cache: Codes
    """Index of the slab's cache; -1 for other blocks."""


@dataclass
class Spans(Columns):
    """Intervals of addresses and what they belong to, ascending and disjoint."""

    start: U64
    end: U64
    code: Codes

    def find(self, addresses: U64) -> Codes:
        """Codes of the intervals that addresses lie in."""
        if not len(self.start):
            return np.full(len(addresses), NOTHING, np.int32)
        which = np.maximum(np.searchsorted(self.start, addresses, side="right") - 1, 0)
        inside = (addresses >= self.start[which]) & (addresses < self.end[which])
        return np.where(inside, self.code[which], NOTHING).astype(np.int32)

    @property
    def bounds(self) -> tuple[int, int]:
        return (int(self.start[0]), int(self.end[-1])) if len(self.start) else (0, 0)

    @classmethod
    def none(cls) -> Spans:
        return cls(np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.int32))

    @classmethod
    def join(cls, *parts: Spans) -> Spans:
        return cls.of(**cls.concatenate(parts).to_dict())

    @classmethod
    def of(cls, start: U64, end: U64, code: Codes) -> Spans:
        return cls(start, end, code).take(np.argsort(start))


@dataclass
class PerCpuUnits:
    """The copies of all chunks of per-CPU memory, one row each, ascending."""

    start: U64
    """Address of the copy."""
    span: U64
    offset: U64
    """``__per_cpu_offset`` of its CPU."""
    populated: list[Bool]
    """Marks its pages that exist."""


@dataclass
class Area:
    """A vmalloc area and what it belongs to."""

    vm: VmArea
    code: int


@dataclass
class Heap:
    """All nodes of a dump; :meth:`at` and its like find them by address."""

    nodes: Nodes
    roots: Roots
    index: FrameIndex
    owner: Codes
    """Block of each page frame, by its number in :attr:`index`."""
    blocks: Blocks
    slots: Codes
    """Node of each object of each block; slot 0 is none."""
    boot: int
    """Code of the root that is boot memory."""
    untagged: int
    """Code of the root that is other memory in use, of which nothing tells where it is from."""
    direct_map: int
    page: PageSize
    areas: list[Area]
    caches: list[Cache]
    vmalloc: Spans
    """vmalloc areas by their addresses."""
    percpu: Spans
    """Per-CPU objects by per-CPU pointers."""
    units: PerCpuUnits
    unreadable_frames: int = 0
    """Page frames whose struct pages are not in the dump."""
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._direct_map = np.uint64(self.direct_map)

    def at(self, addresses: U64) -> Codes:
        """Nodes around addresses in the direct map."""
        return self.slots[self.slots_at(addresses)]

    def slots_at(self, addresses: U64) -> Int:
        """Rows of :attr:`slots` of what addresses in the direct map are in."""
        block = self.blocks_at(addresses)
        index = (addresses - self.blocks.address[block]) // self.blocks.stride[block]
        inside = index < self.blocks.count[block]
        return np.where(inside, self.blocks.slot[block] + index.view(np.int64), 0)

    def blocks_at(self, addresses: U64) -> Codes:
        """Rows of :attr:`blocks` that addresses in the direct map are in; 0 for none."""
        return self.owner[self.index.of_pfn(self.frames_of(addresses))]

    def users_of(self, addresses: U64) -> Codes:
        """Nodes around words in the direct map, without words of the allocator."""
        block = self.blocks_at(addresses)
        offset = (addresses - self.blocks.address[block]) % self.blocks.stride[block]
        return np.where(offset < self.blocks.used[block], self.at(addresses), NOTHING)

    def frames_of(self, addresses: U64) -> Int:
        """Page frames of addresses in the direct map."""
        return ((addresses - self._direct_map) >> np.uint64(self.page.shift)).view(np.int64)

    def caches_at(self, addresses: U64) -> Codes:
        """Indexes of the slab caches that addresses in the direct map are in; -1 for none."""
        return self.blocks.cache[self.blocks_at(addresses)]

    def objects_of(self, cache: str) -> U64:
        """Addresses of the objects of a slab cache."""
        objects = self.nodes.address[self.nodes.kind == NodeKind.OBJECT]
        wanted = [i for i, c in enumerate(self.caches) if c.name == cache]
        return np.asarray(objects[np.isin(self.caches_at(objects), wanted)])

    def skip(self, areas: Codes) -> None:
        """Leave the contents of vmalloc areas out."""
        self.blocks.scan[np.isin(self.slots[self.blocks.slot], areas)] = False

    def of_pages(self, pfn: Int) -> Codes:
        """Nodes of whole page frames: those of slabs have none."""
        block = self.owner[self.index.of_pfn(pfn)]
        slot = np.where(self.blocks.slab[block], 0, self.blocks.slot[block])
        return self.slots[slot]

    def of_struct_pages(self, addresses: U64) -> Codes:
        """Nodes of pages whose struct pages addresses point into."""
        return self.of_pages(self.index.pfn_of_struct_pages(addresses))

    def in_percpu(self, addresses: U64) -> Codes:
        """The per-CPU objects that addresses lie in some CPU's copy of."""
        units = self.units
        out = np.full(len(addresses), NOTHING, np.int32)
        if len(units.start):
            which = np.maximum(np.searchsorted(units.start, addresses, side="right") - 1, 0)
            found = addresses - units.start[which] < units.span[which]
            out[found] = self.percpu.find(addresses[found] - units.offset[which[found]])
        return out
