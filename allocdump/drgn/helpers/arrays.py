# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Memory Allocation Profiling in Bulk
-----------------------------------

The ``allocdump.drgn.helpers.arrays`` module provides what
:mod:`allocdump.drgn.helpers.alloc_tag` does, but for all memory at once:
numpy arrays, read in long runs, instead of one drgn object after the other.
Each helper returns a dataclass of columns of one length, in which tags are addresses of
``struct alloc_tag``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from drgn import Object, Program
from drgn.helpers.common.prog import takes_program_or_default

from ...arch.known import plain
from ...arrays import U64, Columns, Int, Values
from ...kernel.kernel import Kernel
from ...kernel.machine.log import kernel_log
from ...kernel.mm.pages import FrameReader
from ...kernel.mm.percpu import PerCpuReader
from ...kernel.mm.slab import SlabReader
from ...kernel.mm.vmalloc import vm_areas
from ...kernel.tags.profile import read_profile
from ...kernel.tags.references import CODETAG_EMPTY, SiteIndex
from ...kernel.tags.sites import Sites

__all__ = (
    "PageAllocTags",
    "PercpuAllocTags",
    "SlabAllocTags",
    "VmallocAllocTags",
    "alloc_tag_arrays",
    "page_alloc_tag_arrays",
    "percpu_alloc_tag_arrays",
    "slab_alloc_tag_arrays",
    "vmalloc_alloc_tag_arrays",
)


@takes_program_or_default
def alloc_tag_arrays(prog: Program) -> Sites:
    """
    Get all call sites with their names and counters; those of unloaded modules come last.

    >>> sites = alloc_tag_arrays()
    >>> once = sites.take(~sites.backing)  # not slab pages: objects in them have their own sites
    >>> len(sites), int(once.bytes.sum()), int(once.calls.sum())
    (1368, 24772496, 20120)
    >>> top = sites.take(sites.bytes.argsort()[-3:])
    >>> for row in zip(top.bytes, top.calls, top.file, top.line):
    ...     print(*row)
    ...
    2138200 526 mm/execmem.c 41
    6234112 935 mm/slub.c 3282
    8565136 2096 mm/percpu.c 512

    :return: Names, lines and counters in columns.
    """
    return read_profile(Kernel.of_program(prog), kernel_log(prog).unload_messages()).sites


@dataclass
class PageAllocTags(Columns):
    """Allocations of pages, returned by :func:`page_alloc_tag_arrays()`."""

    pfn: Int
    """Page frame number of the first page."""
    order: npt.NDArray[np.uint8]
    """Of a compound page; 0 if the order is not recorded."""
    tag: U64


@takes_program_or_default
def page_alloc_tag_arrays(prog: Program) -> PageAllocTags:
    """
    Get the tags of all pages that have one, in ascending order of page frame number.

    >>> pages = page_alloc_tag_arrays()
    >>> tag = next(find_alloc_tags("function=labmod_plain"))
    >>> pages.pfn[pages.tag == tag.value_()]
    array([2880, 5296, 5304])

    :return: Page frame numbers, orders and tags in columns.
    """
    frames = _frames(prog)

    def batches() -> Iterable[tuple[Int, npt.NDArray[np.uint8], U64]]:
        for some in frames:
            rows = np.flatnonzero(some.is_head & ~some.is_free & (some.refs > CODETAG_EMPTY))
            yield some.section.pfn + rows, some.order[rows], some.refs[rows]

    return PageAllocTags(*_joined(batches(), (np.int64, np.uint8, np.uint64)))


@dataclass
class SlabAllocTags(Columns):
    """Objects of a slab cache, returned by :func:`slab_alloc_tag_arrays()`."""

    address: U64
    tag: U64


def slab_alloc_tag_arrays(slab_cache: Object) -> SlabAllocTags:
    """
    Get the tags of all objects of a slab cache that have one.

    >>> objects = slab_alloc_tag_arrays(find_slab_cache("kmalloc-256"))
    >>> for tag, count in Counter(objects.tag.tolist()).most_common(3):
    ...     print(count, alloc_tag_str(Object(prog, "struct alloc_tag *", tag)))
    ...
    500 ?:35 [?] func:?
    400 labmod.c:73 [labmod] func:labmod_kmalloc
    133 drivers/base/core.c:3602 func:device_private_init

    (The first is of a module that was unloaded while its objects were alive.)

    :param slab_cache: ``struct kmem_cache *``
    :return: Addresses and tags in columns.
    """
    prog = slab_cache.prog_
    frames = _frames(prog)
    slabs = SlabReader(frames.kernel, frames.index)
    address = plain(prog, slab_cache.value_())
    caches = [plain(prog, cache.address) for cache in slabs.caches]
    wanted = caches.index(address) if address in caches else -1

    def batches() -> Iterable[tuple[U64, U64]]:
        for some in frames:
            found = slabs.slabs(some)
            # Objects are only read of slabs with a vector.
            found.vector[found.cache != wanted] = 0
            for objects in slabs.objects(found):
                tagged = objects.refs > CODETAG_EMPTY
                yield objects.address[tagged], objects.refs[tagged]

    return SlabAllocTags(*_joined(batches(), (np.uint64, np.uint64)))


@dataclass
class PercpuAllocTags(Columns):
    """Per-CPU objects, returned by :func:`percpu_alloc_tag_arrays()`."""

    ptr: U64
    """The ``__percpu`` pointer."""
    size: Int
    """Bytes of one CPU's copy."""
    tag: U64


@takes_program_or_default
def percpu_alloc_tag_arrays(prog: Program) -> PercpuAllocTags:
    """
    Get the tags of all per-CPU objects that have one.

    >>> objects = percpu_alloc_tag_arrays()
    >>> len(objects), int(objects.size.sum())
    (63, 16128)

    :return: Pointers, sizes and tags in columns.
    """
    reader = PerCpuReader(Kernel.of_program(prog), _no_sites())

    def batches() -> Iterable[tuple[U64, Int, U64]]:
        for chunk in reader:
            tagged = chunk.refs > CODETAG_EMPTY
            yield chunk.pointer[tagged], chunk.size[tagged], chunk.refs[tagged]

    return PercpuAllocTags(*_joined(batches(), (np.uint64, np.int64, np.uint64)))


@dataclass
class VmallocAllocTags(Columns):
    """Areas of vmalloc space, returned by :func:`vmalloc_alloc_tag_arrays()`."""

    address: U64
    pages: Int
    tag: U64


@takes_program_or_default
def vmalloc_alloc_tag_arrays(prog: Program) -> VmallocAllocTags:
    """
    Get the tags of the first page of all vmalloc areas that have one.

    >>> areas = vmalloc_alloc_tag_arrays()
    >>> largest = areas.take(areas.pages.argsort()[-1:])
    >>> print(hex(largest.address[0]), largest.pages[0])
    0xffffb9f64030f000 2048

    :return: Addresses, numbers of pages and tags in columns.
    """
    frames = _frames(prog)
    areas = [area for area in vm_areas(prog).found if area.page_array and area.pages]
    first, _ = frames.memory.words(np.array([area.page_array for area in areas], np.uint64))
    tag = frames.refs_of(first)
    return VmallocAllocTags(
        np.array([area.start for area in areas], np.uint64),
        np.array([area.pages for area in areas], np.int64),
        tag,
    ).take(tag > CODETAG_EMPTY)


def _no_sites() -> SiteIndex:
    """References are returned as they are, so there are no sites to find."""
    return SiteIndex(np.zeros(0, np.uint64))


def _frames(prog: Program) -> FrameReader:
    return FrameReader(Kernel.of_program(prog), _no_sites())


def _joined(batches: Iterable[tuple[Values, ...]], dtypes: tuple[type, ...]) -> list[Values]:
    """The columns of all batches, of which there may be none."""
    none: tuple[Values, ...] = tuple(np.zeros(0, dtype) for dtype in dtypes)
    return [np.concatenate(column) for column in zip(none, *batches, strict=True)]
