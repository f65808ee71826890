# SPDX-License-Identifier: LGPL-2.1-or-later
"""Allocations one by one: pages and objects in batches of columns, vmalloc areas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from drgn import Program

from ...arrays import I32, U64, Batches, Columns, Int
from ...progress import Progress
from ...text import printable
from ..tags.references import NONE, Rows
from ..walk import Walked
from .page_lists import populated_zones
from .pagemap import PageMap, Part
from .vmalloc import VmArea


@dataclass(frozen=True)
class Zone:
    """A populated zone: a range of page frames of one node."""

    node: int
    name: str
    pfn: int
    spanned: int


def zones(prog: Program) -> Walked[Zone]:
    """All populated zones."""
    return populated_zones(
        prog,
        lambda zone: Zone(
            zone.zone_pgdat.node_id.value_(),
            printable(prog.read_c_string(zone.name, max_size=32)),
            zone.zone_start_pfn.value_(),
            zone.spanned_pages.value_(),
        ),
    )


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
    """A :class:`.page_types.PageKind`."""
    cgroup: I32
    """Row of the memory cgroup that it is charged to, in :attr:`.charges.Charges.cgroups`."""


def page_batches(pagemap: PageMap, progress: Progress | None = None) -> Iterator[PageBatch]:
    """All tagged allocations of pages, a section at a time, ascending."""
    for part in pagemap.parts(progress):
        yield page_batch(part, pagemap)


def page_batch(part: Part, pagemap: PageMap) -> PageBatch:
    """The tagged allocations of pages of one part."""
    frames = part.frames
    starts = np.flatnonzero(frames.is_head & ~frames.is_free & (frames.site != NONE))
    _, first = part.loose_tails
    tails = np.bincount(first, minlength=len(frames.head))[starts]
    pfn = frames.section.pfn + starts.astype(np.int64)
    return PageBatch(
        pfn,
        pagemap.kernel.frame_address(pfn),
        (np.int64(1) << frames.order[starts].astype(np.int64)) + tails,
        tails > 0,
        frames.site[starts],
        frames.kind[starts],
        pagemap.charges.of_pages(frames, starts),
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
    cgroup: I32
    """Row of the memory cgroup that it is charged to, in :attr:`.charges.Charges.cgroups`."""


class ObjectReader(Batches[ObjectBatch]):
    """Iterates over allocated slab objects, then per-CPU objects, that have a reference."""

    def __init__(self, pagemap: PageMap) -> None:
        super().__init__(lambda: self.batches(None))
        self.pagemap = pagemap
        self.caches = pagemap.caches
        self._object_sizes = np.array([c.object_size for c in self.caches], np.int64)

    def batches(self, progress: Progress | None) -> Iterator[ObjectBatch]:
        """All objects, in batches."""
        try:
            for part in self.pagemap.parts(progress):
                # As far as it is known, where not all is read.
                self.problems[:] = self.pagemap.problems_of_objects()
                yield from self.of_slabs(part)
            yield from self.of_percpu()
        finally:
            self.problems[:] = self.pagemap.problems_of_objects()

    def of_slabs(self, part: Part) -> Iterator[ObjectBatch]:
        """The slab objects of one part."""
        for objects in part.objects():
            cache = part.slabs.cache[objects.slab]
            yield ObjectBatch(
                objects.address,
                self.pagemap.slabs.sizes[cache],
                self._object_sizes[cache],
                cache,
                objects.site,
                self.pagemap.charges.of_objects(part.slabs, objects),
            ).take(objects.site != NONE)

    def of_percpu(self) -> Iterator[ObjectBatch]:
        """The per-CPU objects."""
        for chunk in self.pagemap.percpu_chunks:
            none = np.full(len(chunk.size), -1, np.int32)
            cgroup = self.pagemap.charges.of_percpu(chunk)
            size = chunk.size
            batch = ObjectBatch(chunk.pointer, size, size, none, chunk.site, cgroup)
            yield batch.take(chunk.site != NONE)


@dataclass(frozen=True)
class VmallocUse:
    """A vmalloc area and who asked for its pages."""

    area: VmArea
    site: int
    """Row of the site of its first page, or else of its caller; NONE if it has no pages."""
    caller: str
    """Function that asked for the area; empty if the kernel did not note it."""


def vmalloc_uses(pagemap: PageMap) -> Walked[VmallocUse]:
    """All vmalloc areas, and what was unreadable."""
    memory, origins = pagemap.kernel.memory, pagemap.origins
    areas = origins.areas
    with_pages = [a for a in areas if a.page_array and a.pages]
    first, _ = memory.words(np.array([a.page_array for a in with_pages], np.uint64))
    rows = pagemap.frames.sites_of(first).tolist()
    sites = {
        a.start: origins.of_area(a) if row == NONE else row
        for a, row in zip(with_pages, rows, strict=True)
    }
    uses = [VmallocUse(a, sites.get(a.start, NONE), origins.caller_text(a.caller)) for a in areas]
    return Walked(uses, areas.problems)
