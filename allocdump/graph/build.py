# SPDX-License-Identifier: LGPL-2.1-or-later
"""Collects all allocations of a dump, section by section, into a :class:`.heap.Heap`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..arrays import U64, Bool, Int
from ..kernel.mm.boot_memory import SYSTEM_RAM, kernel_image, memmap_spans, memory_map
from ..kernel.mm.page_types import PageKind
from ..kernel.mm.pagemap import PageMap, Part
from ..kernel.mm.pages import Frames
from ..kernel.mm.sections import MemorySection
from ..kernel.mm.vmalloc import VmArea
from ..kernel.tags.references import NONE, Rows
from ..kernel.tags.roles import Role
from ..kernel.walk import ReadErrors
from .nfs_directories import NfsDirectories
from .nodes import (
    NOTHING,
    Area,
    Blocks,
    Codes,
    FrameIndex,
    Heap,
    NodeKind,
    Nodes,
    PerCpuUnits,
    Spans,
    root_code,
)
from .roots import Roots, Tier

_UNJUDGED = {
    PageKind.ANONYMOUS: "anonymous memory",
    PageKind.CACHE: "page cache",
    PageKind.SHMEM: "shared memory",
    PageKind.PAGE_TABLE: "page tables",
    PageKind.HUGETLB: "huge pages",
}
"""Pages of user space and of the processor: what is in them is no pointer of the kernel."""

_SMALL = 1 << 32
"""Words below this may be anything."""
_LIST_POISON2 = 0xDEAD_0000_0000_0122
"""include/linux/poison.h, with the CONFIG_ILLEGAL_POINTER_VALUE of x86-64 and arm64."""

NOT_SCANNED = ("struct pages", "Crash kernel", "Kernel code")
"""Boot memory that holds no pointers, or is looked at in another way."""


class HeapBuilder:
    """Collects the allocations in the parts of a page map; :meth:`result` has them all.

    :param roles: the :class:`.roles.Role` of each site, shape (number of sites,)
    """

    def __init__(self, pagemap: PageMap, roles: npt.NDArray[np.object_]) -> None:
        self.pagemap, self.kernel = pagemap, pagemap.kernel
        self.memory, self.page = pagemap.kernel.memory, pagemap.kernel.page
        self.frames, self.slabs = pagemap.frames, pagemap.slabs
        # One more, for slabs of no known cache.
        self.object_sizes = np.array([*(c.object_size for c in self.slabs.caches), 0], np.uint64)
        self.direct_map = np.uint64(self.slabs.direct_map)
        self.index = FrameIndex(self.frames.sections, self.frames.page_size)
        # Zeros that nobody writes to take no memory.
        self.owner = np.zeros(self.index.total + 1, np.int32)
        self.percpu_sites = np.flatnonzero(roles == Role.PERCPU)
        self.stack_sites = np.flatnonzero(roles == Role.STACK)
        self.roots = Roots()
        self.boot = root_code(self.roots.add("boot memory", Tier.OTHER))
        self.untagged = root_code(self.roots.add("memory without a call site", Tier.OTHER))
        # Of a running kernel, free lists change while they are read: only tags tell then.
        self.judged_sites = pagemap.sites if self.kernel.state == "running" else 1 << 31
        self.unjudged = {
            kind: root_code(self.roots.add(name, Tier.OTHER)) for kind, name in _UNJUDGED.items()
        }
        self.problems = [str(problem) for problem in self.slabs.problems]
        self.nfs = NfsDirectories(self.kernel)
        self.unreadable = 0
        self.node_count = 0
        self.nodes: list[Nodes] = []
        self.block_count = self.slot_count = 0
        self.blocks: list[Blocks] = []
        self.slots: list[Codes] = []
        no = np.zeros(1, np.bool_)
        one = np.ones(1, np.uint64)
        # Block 0 and slot 0 are nothing.
        self._add_blocks(0 * one, one, one, 0 * one, np.array([NOTHING], np.int32), no)
        self._chunks = pagemap.percpu_chunks
        self.problems += map(str, pagemap.percpu.problems)
        self._elsewhere = self._spans_seen_elsewhere()

    def result(self) -> Heap:
        """All allocations, after the last part.

        :raises ValueError: if there is none
        """
        self.all_blocks = Blocks.concatenate(self.blocks)
        self.all_slots = np.concatenate(self.slots)
        percpu = self._percpu_nodes()
        nodes = Nodes.concatenate(self.nodes)
        if not len(nodes):
            raise ValueError("no allocation can be found")
        areas = self._areas()
        nodes = self._merge(nodes, areas)
        percpu.code = self._renumber(percpu.code)
        with_node = [a for a in areas if a.vm.pages]
        return Heap(
            nodes=nodes,
            roots=self.roots,
            index=self.index,
            owner=self.owner,
            blocks=self.all_blocks,
            slots=self.all_slots,
            boot=self.boot,
            untagged=self.untagged,
            caches=self.slabs.caches,
            direct_map=int(self.direct_map),
            page=self.page,
            areas=areas,
            vmalloc=Spans.of(
                np.array([a.vm.start for a in with_node], np.uint64),
                np.array(
                    [a.vm.start + (a.vm.pages << self.page.shift) for a in with_node], np.uint64
                ),
                np.array([a.code for a in with_node], np.int32),
            ),
            percpu=percpu,
            units=self._units(),
            unreadable_frames=self.unreadable,
            problems=self.problems + self._late_problems(),
        )

    def _late_problems(self) -> list[str]:
        """Problems that the pass over all parts met."""
        found = [*self.frames.problems, *self.pagemap.origins.problems]
        return list(dict.fromkeys(map(str, found)))

    def _spans_seen_elsewhere(self) -> list[tuple[int, int]]:
        """Page frames of boot memory that are looked at in another way, or not at all."""
        prog = self.memory.prog
        spans: list[tuple[int, int]] = []
        found = memory_map(prog)
        self.problems += map(str, found.problems)
        ram = [(s.start, s.end) for s in found if s.label == SYSTEM_RAM]
        labelled = found.found + memmap_spans(prog, self.index.sections, self.frames.page_size)
        spans += [(s.start, s.end) for s in labelled if s.label in NOT_SCANNED]
        if not found.problems:
            spans += _gaps(ram)
        try:
            _, first, pages = kernel_image(prog)
            spans.append((first, first + pages))
        except ReadErrors:
            pass  # its data are then seen twice
        spans.append(self.frames.kfence)  # its objects are looked at one by one
        for start, span, _ in self._unit_bounds():
            pfn = (start - int(self.direct_map)) >> self.page.shift
            if 0 <= pfn < 1 << 40:
                spans.append((pfn, pfn + self.page.up(span)))
        return spans

    def _unit_bounds(self) -> list[tuple[int, int, int]]:
        """(address, bytes, CPU's offset) of each copy of static and dynamic per-CPU memory."""
        prog = self.memory.prog
        offsets = self.kernel.cpus.offsets.tolist()
        bounds = [(c.start, c.span) for c in self._chunks]
        try:
            start, end = (prog.symbol(f"__per_cpu_{n}").address for n in ("start", "end"))
            bounds.append((start, end - start))
        except LookupError:
            pass
        return [((start + o) % (1 << 64), span, o) for start, span in bounds for o in offsets]

    def part(self, part: Part) -> None:
        """Collect from one part."""
        frames, section = part.frames, part.frames.section
        tails, first = part.loose_tails
        head = frames.head.copy()
        head[tails] = first
        unreadable = frames.kind == PageKind.UNREADABLE
        self.unreadable += int(np.count_nonzero(unreadable))
        away = np.isin(frames.kind, (PageKind.OFFLINE, PageKind.POISONED))
        used = ~frames.is_free & ~unreadable & ~away
        starts = np.flatnonzero((head == np.arange(section.pages)) & used)
        lengths = np.bincount(head, minlength=section.pages)[starts]
        slab = frames.kind[starts] == PageKind.SLAB
        owner = np.zeros(section.pages, np.int32)
        self._page_blocks(frames, starts[~slab], lengths[~slab], owner)
        self._slab_blocks(part, section, owner)
        at = int(self.index.of_pfn(np.array([section.pfn]))[0])
        # Tails belong to what their heads do.
        self.owner[at : at + section.pages] = np.where(used, owner[head], 0)

    def _page_blocks(
        self, frames: Frames, starts: npt.NDArray[np.intp], lengths: Int, owner: Codes
    ) -> None:
        count = len(starts)
        kind, site = frames.kind[starts], frames.site[starts]
        pfn = frames.section.pfn + starts.astype(np.int64)
        address = self.kernel.frame_address(pfn)
        size = lengths.astype(np.int64) << self.page.shift
        kind[(kind == PageKind.IN_USE) & self.frames.of_users(frames.raw["flags"][starts])] = (
            PageKind.CACHE
        )
        cache = kind == PageKind.CACHE
        self.nfs.collect(frames.raw["mapping"][starts[cache]], address[cache], size[cache])
        judged = (site >= 0) & (site < self.judged_sites)
        judged &= (kind == PageKind.IN_USE) | (kind == PageKind.LARGE_KMALLOC)
        code = np.full(count, self.untagged, np.int32)
        scan = np.ones(count, np.bool_)
        for unjudged, root in self.unjudged.items():
            code[kind == unjudged], scan[kind == unjudged] = root, False
        reserved = kind == PageKind.RESERVED
        code[reserved] = self.boot
        for start, end in self._elsewhere:
            scan[reserved & (pfn >= start) & (pfn < end)] = False
        # Per-CPU memory is looked at object by object, stacks as far as they are in use.
        percpu = judged & np.isin(site, self.percpu_sites)
        scan[percpu | (judged & np.isin(site, self.stack_sites))] = False
        code[percpu] = NOTHING
        judged &= ~percpu
        tail = (lengths == 1) & never_listed(frames.raw[starts])
        code[judged] = self._add_nodes(
            address[judged], size[judged], site[judged], NodeKind.PAGES, tail[judged]
        )
        owner[starts] = self.block_count + np.arange(count)
        one, whole = np.ones(count, np.uint64), size.astype(np.uint64)
        self._add_blocks(address, whole, whole, one, code, scan)

    def _slab_blocks(self, part: Part, section: MemorySection, owner: Codes) -> None:
        slabs, count = part.slabs, len(part.slabs)
        split = slabs.cache >= 0
        room = np.where(split, slabs.objects, 1)
        first = np.cumsum(room) - room
        code = np.full(int(room.sum()), NOTHING, np.int32)
        site = np.full(len(code), NONE, np.int32)
        # Nothing tells the objects of other slabs apart: any of them may hold pointers.
        code[first[~split]] = self.untagged
        for objects in part.objects():
            slot = first[objects.slab] + objects.index
            site[slot] = objects.site
            code[slot[~objects.readable | (objects.site != NONE)]] = self.untagged
        tagged = np.flatnonzero((site >= 0) & (site < self.judged_sites))
        row = np.searchsorted(first, tagged, side="right") - 1
        address = self.slabs.object_address(slabs, row, tagged - first[row])
        size = self.slabs.sizes[slabs.cache[row]]
        code[tagged] = self._add_nodes(address, size, site[tagged], NodeKind.OBJECT)
        block = self.block_count + np.arange(count)
        owner[slabs.pfn - section.pfn] = block
        rows = np.arange(count)
        alone = split | (slabs.kfence & (slabs.cache >= 0))
        start = np.where(alone, self.slabs.object_address(slabs, rows, 0 * rows), slabs.address)
        whole = np.uint64(self.page.bytes) << slabs.order.astype(np.uint64)
        stride = np.where(alone, self.slabs.sizes[slabs.cache].astype(np.uint64), whole)
        used = np.where(alone, self.object_sizes[slabs.cache], stride)
        yes = np.ones(count, np.bool_)
        stride, room = np.maximum(stride, np.uint64(1)), room.astype(np.uint64)
        self._add_blocks(start, stride, used, room, code, yes, first, slabs.cache)

    def _add_nodes(
        self, address: U64, size: Int, site: Rows, kind: NodeKind, tail: Bool | None = None
    ) -> Codes:
        count = len(address)
        if tail is None:
            tail = np.zeros(count, np.bool_)
        kinds = np.full(count, kind, np.uint8)
        self.nodes.append(Nodes(address, size, np.ones(count, np.int64), site, kinds, tail))
        self.node_count += count
        return np.arange(self.node_count - count, self.node_count, dtype=np.int32)

    def _add_blocks(
        self,
        address: U64,
        stride: U64,
        used: U64,
        room: U64,
        code: Codes,
        scan: Bool,
        first: Int | None = None,
        cache: Codes | None = None,
    ) -> None:
        count, is_slab = len(address), cache is not None
        slot = self.slot_count + (np.arange(count) if first is None else first)
        slab = np.full(count, is_slab)
        if cache is None:
            cache = np.full(count, -1, np.int32)
        self.blocks.append(Blocks(address, stride, used, room, slot, scan, slab, cache))
        self.slots.append(code)
        self.block_count += count
        self.slot_count += len(code)

    def _percpu_nodes(self) -> Spans:
        starts, ends, codes = [], [], []
        untagged = root_code(self.roots.add("per-CPU memory without a call site", Tier.OTHER))
        copies = len(self.kernel.cpus)
        for chunk in self._chunks:
            tagged = (chunk.site >= 0) & (chunk.site < self.judged_sites)
            # Where per-CPU symbols begin at zero, the first chunk's pointers are small numbers.
            tagged &= (chunk.pointer >= np.uint64(_SMALL)) & ~chunk.hidden
            code = np.full(len(chunk.site), untagged, np.int32)
            size = chunk.size[tagged] * copies
            code[tagged] = self._add_nodes(
                chunk.pointer[tagged], size, chunk.site[tagged], NodeKind.PERCPU
            )
            # What a chunk shares a page with is a chunk's of its own, or a variable's.
            own = ~chunk.hidden
            starts.append(chunk.pointer[own])
            ends.append((chunk.pointer + chunk.size.astype(np.uint64))[own])
            codes.append(code[own])
        if not starts:
            return Spans.none()
        return Spans.of(np.concatenate(starts), np.concatenate(ends), np.concatenate(codes))

    def _units(self) -> PerCpuUnits:
        offsets = self.kernel.cpus.offsets.tolist()
        rows = sorted(
            ((chunk.start + offset) % (1 << 64), chunk.span, offset, number)
            for number, chunk in enumerate(self._chunks)
            for offset in offsets
        )
        start, span, offset, number = zip(*rows, strict=True) if rows else ((), (), (), ())
        return PerCpuUnits(
            np.array(start, np.uint64),
            np.array(span, np.uint64),
            np.array(offset, np.uint64),
            [self._chunks[n].populated for n in number],
        )

    def _areas(self) -> list[Area]:
        found = self.pagemap.origins.areas
        self.problems += map(str, found.problems)
        return [Area(vm, NOTHING) for vm in found]

    def _merge(self, nodes: Nodes, areas: list[Area]) -> Nodes:
        """Make the pages of each vmalloc area one node, in place of theirs."""
        gone = np.zeros(len(nodes), np.bool_)
        made: list[Nodes] = []
        base = len(nodes)
        for area in areas:
            slots = self._slots_of(area.vm)
            code = np.unique(self.all_slots[slots])
            code = code[code >= 0]
            # A page that is listed twice, by a damaged array or two areas, counts once.
            code = code[code < base]
            if not len(code):
                continue
            area.code = base + len(made)
            self.all_slots[slots[self.all_slots[slots] >= 0]] = area.code
            gone[code] = True
            made.append(
                Nodes(
                    np.array([area.vm.start], np.uint64),
                    nodes.size[code].sum(keepdims=True),
                    nodes.calls[code].sum(keepdims=True),
                    nodes.site[code[:1]],
                    np.array([NodeKind.VMALLOC], np.uint8),
                    np.zeros(1, np.bool_),
                )
            )
        all_nodes = Nodes.concatenate([nodes, *made])
        kept = np.append(~gone, np.ones(len(made), np.bool_))
        self._new_number = np.cumsum(kept, dtype=np.int32) - 1
        self.all_slots = self._renumber(self.all_slots)
        for area in areas:
            if area.code >= 0:
                area.code = int(self._new_number[area.code])
        return all_nodes.take(kept)

    def _renumber(self, codes: Codes) -> Codes:
        return np.where(codes >= 0, self._new_number[np.maximum(codes, 0)], codes)

    def _slots_of(self, vm: VmArea) -> Int:
        """Slots of the pages of an area that are whole allocations of pages."""
        if not vm.page_array or not 0 < vm.pages <= self.index.total:
            return np.zeros(0, np.int64)
        data, _ = self.memory.read(vm.page_array, 8 * vm.pages)
        pfn = self.index.pfn_of_struct_pages(data.view(np.uint64))
        block = self.owner[self.index.of_pfn(pfn)]
        return np.unique(self.all_blocks.slot[block[~self.all_blocks.slab[block]]])


def never_listed(raw: npt.NDArray[np.void]) -> Bool:
    """Mark pages that were no start of a block when they were allocated, by their struct pages.

    Whatever the allocator hands out was on a list of free blocks, and ``list_del()`` left a mark
    at its first page: LIST_POISON2 in ``lru.prev``, which overlays ``buddy_list`` and
    ``pcp_list``. What has another value there was a tail then, and ``split_page()`` made it a
    page of its own. The mark may also be older than the allocation, and owners of pages may
    write there: nothing is sure of pages that are not marked.

    :param raw: fields of struct pages
    """
    if "lru_prev" not in (raw.dtype.names or ()):
        return np.zeros(len(raw), np.bool_)
    return np.asarray(raw["lru_prev"] != _LIST_POISON2)


def _gaps(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Gaps between ascending *spans*: page frames that are reserved, but not memory."""
    edges = [0, *(edge for span in sorted(spans) for edge in span), 1 << 52]
    return list(zip(edges[::2], edges[1::2], strict=True))
