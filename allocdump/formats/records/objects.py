# SPDX-License-Identifier: LGPL-2.1-or-later
"""Objects, slab caches and vmalloc areas as records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...analysis.caches import CacheRow
from ...analysis.totals import object_totals
from ...analysis.wrappers import of_objects
from ...kernel.mm.allocations import ObjectBatch, VmallocUse
from ...kernel.mm.slab import Cache
from ...kernel.tags.sites import Sites
from .json_text import Record
from .site import ORIGIN_FIELDS, origin_record

PER_CPU = "(per-CPU)"

EACH = ("address", "bytes", "used", "cache", *ORIGIN_FIELDS)
SUMS = ("bytes", "objects", "used", "lost", "cache", *ORIGIN_FIELDS, "sizes")
GROUPS = ("bytes", "objects", "used", "lost")
"""Fields of SUMS that can be added up."""
CACHES = ("bytes", "slabs", "objects", "free", "cached", "untagged", "size", "lost", "cache")
VMALLOC = ("address", "bytes", "pages", "kind", "caller", *ORIGIN_FIELDS)


def each(sites: Sites, caches: list[Cache], batches: Iterable[ObjectBatch]) -> Iterator[Record]:
    """One record for each object."""
    for batch in batches:
        for i in range(len(batch.address)):
            yield {
                "address": f"{int(batch.address[i]):#x}",
                "bytes": int(batch.size[i]),
                "used": int(batch.used[i]),
                "cache": _cache(caches, int(batch.cache[i])),
                **origin_record(sites.name(int(batch.site[i]))),
            }


def sums(sites: Sites, caches: list[Cache], batches: Iterable[ObjectBatch]) -> Iterator[Record]:
    """One record for each site and cache, largest first."""
    totals = object_totals(batches, len(caches))
    found = of_objects(totals, len(sites))
    for i, row in enumerate(totals.site.tolist()):
        size, used = int(totals.bytes[i]), int(totals.used[i])
        yield {
            "bytes": size,
            "objects": int(totals.objects[i]),
            "used": used,
            "lost": size - used,
            "cache": _cache(caches, int(totals.cache[i])),
            **origin_record(sites.name(row)),
            "sizes": int(found.sizes[row]),
        }


def _cache(caches: list[Cache], index: int) -> str:
    return caches[index].name if index >= 0 else PER_CPU


def by_cache(caches: Iterable[CacheRow]) -> Iterator[Record]:
    """One record for each slab cache."""
    for cache in caches:
        yield {
            "bytes": cache.bytes,
            "slabs": cache.slabs,
            "objects": cache.allocated,
            "free": cache.free,
            "cached": cache.cached,
            "untagged": cache.untagged,
            "size": cache.size,
            "lost": cache.lost,
            "cache": cache.name,
        }


def areas(sites: Sites, uses: Iterable[VmallocUse]) -> Iterator[Record]:
    """One record for each vmalloc area."""
    for use in uses:
        yield {
            "address": f"{use.area.start:#x}",
            "bytes": use.area.size,
            "pages": use.area.pages,
            "kind": use.area.kind,
            "caller": use.caller,
            **origin_record(sites.name(use.site) if use.site >= 0 else None),
        }
