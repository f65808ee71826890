# SPDX-License-Identifier: LGPL-2.1-or-later
"""Allocations of pages as records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ...analysis.totals import page_totals
from ...arch.base import PageSize
from ...kernel.mm.allocations import PageBatch, Zone
from ...kernel.mm.page_types import PageKind
from ...kernel.tags.sites import Sites
from .json_text import Record
from .site import ORIGIN_FIELDS, origin_record

EACH = ("pfn", "address", "pages", "bytes", "node", "zone", "kind", *ORIGIN_FIELDS, "inferred")
SUMS = ("bytes", "pages", "allocations", "inferred_pages", "orders", *ORIGIN_FIELDS)

GROUPS = ("bytes", "pages", "allocations", "inferred_pages")
"""Fields of SUMS that can be added up."""


def each(
    sites: Sites, zones: list[Zone], batches: Iterable[PageBatch], page: PageSize
) -> Iterator[Record]:
    """One record for each allocation."""
    starts = np.array([z.pfn for z in zones])
    ends = starts + [z.spanned for z in zones]
    for batch in batches:
        for i in range(len(batch.pfn)):
            pfn, row, pages = int(batch.pfn[i]), int(batch.site[i]), int(batch.pages[i])
            inside = np.flatnonzero((starts <= pfn) & (pfn < ends))
            zone = zones[int(inside[0])] if len(inside) else None
            yield {
                "pfn": pfn,
                "address": f"{int(batch.address[i]):#x}",
                "pages": pages,
                "bytes": pages << page.shift,
                "node": zone.node if zone else None,
                "zone": zone.name if zone else None,
                "kind": PageKind(batch.kind[i]).name.lower().replace("_", " "),
                **origin_record(sites.name(row)),
                "inferred": bool(batch.inferred[i]),
            }


def sums(sites: Sites, batches: Iterable[PageBatch], page: PageSize) -> Iterator[Record]:
    """One record for each site that holds pages, largest first."""
    totals = page_totals(batches, len(sites))
    for i, row in enumerate(totals.site.tolist()):
        orders = np.flatnonzero(totals.orders[i]).tolist()
        yield {
            "bytes": int(totals.pages[i]) << page.shift,
            "pages": int(totals.pages[i]),
            "allocations": int(totals.calls[i]),
            "inferred_pages": int(totals.inferred[i]),
            "orders": " ".join(f"{o}:{totals.orders[i][o]}" for o in orders),
            **origin_record(sites.name(row)),
        }
