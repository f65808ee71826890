# SPDX-License-Identifier: LGPL-2.1-or-later
"""Allocations one by one: pages and objects in batches of columns, vmalloc areas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from drgn import Program

from ...arrays import Batches, Columns
from ...source.memory import U64, Memory
from ...text import printable
from ..tags.references import NONE, Rows, SiteIndex
from ..walk import ReadErrors, walk
from .attribution import Progress, loose_tails
from .page_lists import for_each_zone
from .pages import PAGE_SHIFT, FrameReader, Frames
from .percpu import PerCpuReader
from .slab import SlabReader
from .vmalloc import VmArea, vm_areas

Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Zone:
    """A populated zone: a range of page frames of one node."""

    node: int
    name: str
    pfn: int
    spanned: int


def zones(prog: Program) -> list[Zone]:
    """All populated zones, as far as they can be read."""
    found = []
    try:
        for zone in for_each_zone(prog):
            found.append(
                Zone(
                    zone.zone_pgdat.node_id.value_(),
                    printable(prog.read_c_string(zone.name, max_size=32)),
                    zone.zone_start_pfn.value_(),
                    zone.spanned_pages.value_(),
                )
            )
    except ReadErrors:
        pass
    return found


@dataclass
class PageBatch(Columns):
    """Allocations of pages; columns of shape (number of allocations,)."""

    pfn: Int
    address: U64
    """In the direct map."""
    pages: Int
    """A power of two."""
    inferred: npt.NDArray[np.bool_]
    """The order was inferred: the allocation is not compound."""
    site: Rows
    kind: npt.NDArray[np.uint8]
    """A :class:`kernel.frames.Kind`."""


def page_batches(
    memory: Memory,
    vmcoreinfo: str,
    addresses: U64,
    direct_map: int,
    progress: Progress | None = None,
) -> Iterator[PageBatch]:
    """All tagged allocations of pages, a section at a time, ascending."""
    reader = FrameReader(memory, vmcoreinfo, SiteIndex(addresses))
    total = sum(s.pages for s in reader.sections)
    done = 0
    for frames in reader:
        yield _pages(frames, direct_map)
        done += frames.section.pages
        if progress:
            progress(done + reader.free_pages, total)


def _pages(frames: Frames, direct_map: int) -> PageBatch:
    starts = np.flatnonzero(frames.is_head & ~frames.is_free & (frames.site != NONE))
    _, first = loose_tails(frames)
    tails = np.bincount(first, minlength=len(frames.head))[starts]
    pfn = frames.section.pfn + starts.astype(np.int64)
    return PageBatch(
        pfn,
        np.uint64(direct_map) + (pfn.astype(np.uint64) << np.uint64(PAGE_SHIFT)),
        (np.int64(1) << frames.order[starts].astype(np.int64)) + tails,
        tails > 0,
        frames.site[starts],
        frames.kind[starts],
    )


@dataclass
class ObjectBatch(Columns):
    """Allocated objects; columns of shape (number of objects,)."""

    address: U64
    """A direct-map address, or a per-CPU pointer."""
    size: Int
    """Bytes charged to the site: the size of a slab's objects; of one CPU's copy."""
    used: Int
    """Bytes of it that a user can use (``object_size``)."""
    cache: npt.NDArray[np.int32]
    """Index of the slab cache; -1 for per-CPU objects."""
    site: Rows


class ObjectReader(Batches[ObjectBatch]):
    """Iterates over allocated slab objects, then per-CPU objects, that have a reference."""

    def __init__(self, memory: Memory, vmcoreinfo: str, addresses: U64) -> None:
        super().__init__(lambda: self.batches(None))
        index = SiteIndex(addresses)
        self.frames = FrameReader(memory, vmcoreinfo, index)
        self.slabs = SlabReader(memory, index)
        self.percpu = PerCpuReader(memory, index)
        self.caches = self.slabs.caches
        self._object_sizes = np.array([c.object_size for c in self.caches], np.int64)

    def batches(self, progress: Progress | None) -> Iterator[ObjectBatch]:
        total = sum(s.pages for s in self.frames.sections)
        done = 0
        for frames in self.frames:
            slabs = self.slabs.slabs(frames)
            for objects in self.slabs.objects(slabs):
                cache = slabs.cache[objects.slab]
                yield ObjectBatch(
                    objects.address,
                    self.slabs.sizes[cache],
                    self._object_sizes[cache],
                    cache,
                    objects.site,
                ).take(objects.site != NONE)
            done += frames.section.pages
            if progress:
                progress(done + self.frames.free_pages, total)
        for chunk in self.percpu:
            none = np.full(len(chunk.size), -1, np.int32)
            batch = ObjectBatch(chunk.pointer, chunk.size, chunk.size, none, chunk.site)
            yield batch.take(chunk.site != NONE)


@dataclass(frozen=True)
class VmallocUse:
    """A vmalloc area and who asked for its pages."""

    area: VmArea
    site: int
    """Row of the site of its first page; NONE if it has no pages, or they have no tag."""
    caller: str
    """Function that asked for the area."""


def vmalloc_uses(memory: Memory, vmcoreinfo: str, addresses: U64) -> Iterator[VmallocUse]:
    """All vmalloc areas; a damaged tree ends early."""
    prog = memory.prog
    reader = FrameReader(memory, vmcoreinfo, SiteIndex(addresses))
    areas, _ = walk(prog, lambda: vm_areas(prog))
    with_pages = [a for a in areas if a.page_array and a.pages]
    first, _ = memory.words(np.array([a.page_array for a in with_pages], np.uint64))
    sites = dict(zip((a.start for a in with_pages), reader.sites_of(first).tolist(), strict=True))
    for area in areas:
        yield VmallocUse(area, sites.get(area.start, NONE), symbol(prog, area.caller))


def symbol(prog: Program, address: int) -> str:
    """``function+0x12`` of an address in the kernel; empty if there is none."""
    if not address:
        return ""
    try:
        found = prog.symbol(address)
    except LookupError:
        return f"{address:#x}"
    return f"{printable(found.name.encode())}+{address - found.address:#x}"
