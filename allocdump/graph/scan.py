# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pointers in memory: which allocations, and which roots, point into which.

Any word that points into an allocation counts, wherever in it, in every way the kernel
points: into the direct map, into a vmalloc area, at a struct page, as a per-CPU pointer or
into a CPU's copy. Low tag bits are within the allocation anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..arch.base import Architecture
from ..arrays import U64, Bool, ranges
from ..kernel.kernel import Kernel
from ..progress import Phase, Progress
from .nodes import NOTHING, Codes, Heap, NodeKind, Spans, root_code
from .physical import Mentions
from .roots import Tier

_RUN = 2 << 20
"""Bytes that are looked at together."""
_WORTH_A_GAP = 16
"""Pages of zeros that are left out of a run: fewer are read along, as quickly as two runs begin."""
_AT_ONCE = 4 << 10
"""Struct pages that are looked at together."""


@dataclass
class Links:
    """Links from allocations and roots into allocations, as pairs.

    Nodes have their own numbers, roots those that follow.
    """

    nodes: int
    parts: list[npt.NDArray[np.int64]] = field(default_factory=list)

    def number(self, code: Codes) -> npt.NDArray[np.int32]:
        """Numbers of nodes and roots from their codes."""
        return np.where(code >= 0, code, self.nodes - 2 - code).astype(np.int32)

    def add(self, source: Codes, target: Codes) -> None:
        """Note pairs; those of nothing, or within one allocation, are none."""
        real = (target >= 0) & (source != NOTHING) & (source != target)
        key = self.number(source[real]).astype(np.int64) << 32 | target[real]
        if len(key):
            # Most repetitions follow one another.
            self.parts.append(key[np.append(True, key[1:] != key[:-1])])

    def pairs(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """All distinct pairs, ascending: sources and targets, each of shape (pairs,)."""
        if not self.parts:
            return np.zeros(0, np.int32), np.zeros(0, np.int32)
        key = np.concatenate(self.parts)
        self.parts.clear()
        key.sort()
        key = key[np.append(True, key[1:] != key[:-1])]
        return (key >> 32).astype(np.int32), (key & 0xFFFF_FFFF).astype(np.int32)


class Pointers:
    """Tells which words are pointers into allocations."""

    def __init__(self, heap: Heap, tags: U64, arch: Architecture) -> None:
        self.heap, self._arch = heap, arch
        self._tags = np.sort(tags)
        self._is_area = heap.nodes.kind == NodeKind.VMALLOC
        end = heap.direct_map
        if heap.index.sections:
            last = heap.index.sections[-1]
            end += (last.pfn + last.pages) << heap.page.shift
        units = heap.units
        unit_bounds = (0, 0)
        if len(units.start):
            unit_bounds = int(units.start[0]), int((units.start + units.span).max())
        self._ways = [
            (bounds, find)
            for bounds, find in (
                ((heap.direct_map, end), self._in_direct_map),
                (heap.index.memmap_bounds, self._in_memmap),
                (heap.vmalloc.bounds, self._in_vmalloc),
                (heap.percpu.bounds, heap.percpu.find),
                (unit_bounds, heap.in_percpu),
            )
            if bounds[0] < bounds[1]
        ]
        self._lowest = np.uint64(min((low for (low, _), _ in self._ways), default=0))

    def _in_direct_map(self, words: U64) -> Codes:
        return self._but_areas(self.heap.at(words))

    def _in_memmap(self, words: U64) -> Codes:
        return self._but_areas(self.heap.of_struct_pages(words))

    def _but_areas(self, code: Codes) -> Codes:
        """Whoever owns a vmalloc area has its address: a pointer to one of its pages, as
        used scatter lists keep, does not hold it.
        """
        return np.where((code >= 0) & self._is_area[code], NOTHING, code)

    def _in_vmalloc(self, words: U64) -> Codes:
        """References to the tags of modules, which the profiler keeps, hold nothing."""
        code = self.heap.vmalloc.find(words)
        if len(self._tags):
            where = np.minimum(np.searchsorted(self._tags, words), len(self._tags) - 1)
            code[self._tags[where] == words] = NOTHING
        return code

    def whole(self, addresses: U64) -> Codes:
        """Nodes around addresses, pages of vmalloc areas included: shape (n,)."""
        direct = self.heap.at(addresses)
        pages = self.heap.of_struct_pages(addresses)
        found = self.targets(addresses)
        return np.where(found >= 0, found, np.where(direct >= 0, direct, pages))

    def candidates(self, words: U64) -> npt.NDArray[np.intp]:
        """Indexes of words that may be pointers at all."""
        return np.flatnonzero(words >= self._lowest)

    def targets(self, words: U64) -> Codes:
        """Node that each word points into."""
        out = np.full(len(words), NOTHING, np.int32)
        words = self._arch.untag(words)
        for (low, high), find in self._ways:
            inside = np.flatnonzero(words - np.uint64(low) < np.uint64(high - low))
            if len(inside):
                found = find(words[inside])
                hit = found >= 0
                out[inside[hit]] = found[hit]
        return out


class Scanner:
    """Collects the links of a heap.

    :param tags: addresses of the sites' tags
    """

    def __init__(self, kernel: Kernel, heap: Heap, tags: U64) -> None:
        self.kernel, self.memory = kernel, kernel.memory
        self.heap = heap
        self.pointers = Pointers(heap, tags, kernel.arch)
        self.links = Links(len(heap.nodes))
        self._elsewhere: list[tuple[Codes, Codes, U64]] = []
        self._holes: list[Codes] = []
        """Blocks of which a page is not in the dump."""
        self.percpu_holes = 0
        """Pages of per-CPU memory that are not in the dump."""
        self.exact = np.zeros(len(heap.nodes), np.bool_)
        """Allocations whose very first byte some word points at."""
        self.stale = Spans.none()
        """Memory in the direct map whose words are not pointers any more."""
        self.mentions: Mentions | None = Mentions(heap)
        """Physical addresses that are met, until all memory was looked at."""
        self.slab_root = root_code(heap.roots.add("slabs", Tier.OTHER))
        self.physical_root = root_code(
            heap.roots.add("a device or table that has its physical address", Tier.UNPROVEN)
        )

    def scan(self, address: int, size: int) -> tuple[U64, Codes, Bool]:
        """Pointers in a run of memory.

        :return: addresses of the words that are pointers, the nodes they point into, and
            whether each page of the run was readable
        """
        data, ok = self.memory.read(address, size & ~7)
        words: U64 = data.view(np.uint64)
        if self.mentions:
            self.mentions.look(words, address)
        words = self.kernel.arch.untag(words)
        some = self.pointers.candidates(words)
        target = self.pointers.targets(words[some])
        at = np.uint64(address) + some.astype(np.uint64) * np.uint64(8)
        hit = (target >= 0) & (self.stale.find(at) == NOTHING)
        at, some, target = at[hit], some[hit], target[hit]
        self.exact[target[self.heap.nodes.address[target] == words[some]]] = True
        return at, target, ok[:: self.memory.page]

    def contents(self, progress: Progress | None = None) -> None:
        """Scan the contents of allocations and of other memory in use."""
        heap, page, done = self.heap, self.memory.page, 0
        for section in heap.index.sections:
            first = int(heap.index.of_pfn(np.array([section.pfn]))[0])
            owner = heap.owner[first : first + section.pages]
            zeros = self.kernel.zero_frames.among(section.pfn, section.pfn + section.pages)
            wanted = heap.blocks.scan[owner] & ~long_runs(zeros, _WORTH_A_GAP)
            for start, stop in runs_of(wanted, _RUN // page):
                base = heap.direct_map + ((section.pfn + start) << heap.page.shift)
                at, target, ok = self.scan(base, (stop - start) * page)
                source = heap.users_of(at)
                self.links.add(source, target)
                self._note(source, target, at)
                hole = ~ok & ~self._never_dumped(section.pfn + start, section.pfn + stop)
                self._holes.append(np.unique(owner[start:stop][hole]))
            self._struct_pages(section.memmap, owner)
            done += section.pages
            if progress:
                progress(Phase.POINTERS, done, heap.index.total)

    def _never_dumped(self, first: int, last: int) -> Bool:
        """Mark page frames of boot memory that no dump need have: shape (last - first,)."""
        pfn = np.arange(first, last)
        out = pfn << self.heap.page.shift < self.kernel.arch.never_dumped
        out[out] = self.heap.of_pages(pfn[out]) == self.heap.boot
        return out

    def mentioned(self) -> npt.NDArray[np.int32]:
        """Pages whose physical address some word is: the root "physical addresses" has these
        words. Later scans look for no more.
        """
        if self.mentions is None:
            return np.zeros(0, np.int32)
        target, at = self.mentions.all()
        self.mentions = None
        self._note(np.full(len(target), self.physical_root, np.int32), target, at)
        return target

    def _note(self, source: Codes, target: Codes, at: U64) -> None:
        """Remember where the pointers of roots are that are not in one place."""
        rows = source < NOTHING
        self._elsewhere.append((source[rows], target[rows], at[rows]))

    def seen_elsewhere(self, root: int, target: int) -> int | None:
        """Address of a pointer of such a root into a node."""
        for source, targets, at in self._elsewhere:
            hits = np.flatnonzero((source == root_code(root)) & (targets == target))
            if len(hits):
                return int(at[hits[0]])
        return None

    def torn(self) -> npt.NDArray[np.int32]:
        """Nodes and roots of which a page is not in the dump, as :class:`Links` has them."""
        if not self._holes:
            return np.zeros(0, np.int32)
        blocks, block = self.heap.blocks, np.unique(np.concatenate(self._holes))
        count = blocks.count[block].view(np.int64)
        code = np.unique(self.heap.slots[np.repeat(blocks.slot[block], count) + ranges(count)])
        return self.links.number(code[code != NOTHING])

    def _struct_pages(self, memmap: int, owner: Codes) -> None:
        """Scan the struct pages of memory in use: a page's belongs to its allocation.

        Where extensions lie in the objects, ``slab->obj_exts`` points into the slab itself, which
        holds none of them.
        """
        heap = self.heap
        size = heap.index.page_size
        for start, stop in runs_of(owner > 0, _AT_ONCE):
            block = owner[start:stop]
            source = heap.slots[heap.blocks.slot[block]]
            source = np.where(heap.blocks.slab[block], self.slab_root, source)
            base = memmap + start * size
            at, target, _ = self.scan(base, (stop - start) * size)
            page = ((at - np.uint64(base)) // np.uint64(size)).astype(np.int64)
            other = heap.blocks_at(heap.nodes.address[target]) != block[page]
            self.links.add(source[page[other]], target[other])

    def percpu(self) -> None:
        """Scan each CPU's copy of per-CPU objects."""
        units, page = self.heap.units, self.memory.page
        for row in range(len(units.start)):
            base = int(units.start[row])
            for start, stop in runs_of(units.populated[row], _RUN // page):
                at, target, ok = self.scan(base + start * page, (stop - start) * page)
                self.percpu_holes += int(np.count_nonzero(~ok))
                source = self.heap.percpu.find(at - units.offset[row])
                self.links.add(source, target)
                self._note(source, target, at)


def runs_of(wanted: Bool, longest: int) -> Iterator[tuple[int, int]]:
    """Start and end of each run of True, cut where longer than *longest*."""
    edges = np.flatnonzero(np.diff(wanted, prepend=False, append=False))
    for start, stop in edges.reshape(-1, 2).tolist():
        for at in range(start, stop, longest):
            yield at, min(at + longest, stop)


def long_runs(marks: Bool, least: int) -> Bool:
    """Marks that stand in a run of at least *least*: shape (len(marks),)."""
    edges = np.flatnonzero(np.diff(marks, prepend=False, append=False)).reshape(-1, 2)
    start, stop = edges[edges[:, 1] - edges[:, 0] >= least].T
    change = np.zeros(len(marks) + 1, np.int8)
    change[start] = 1
    change[stop] = -1
    return np.cumsum(change[:-1], dtype=np.int8) > 0
