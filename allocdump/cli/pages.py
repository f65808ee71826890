# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump pages``"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import click
import numpy as np

from ..analysis.report import Report
from ..analysis.totals import PageFilter, page_totals
from ..api import Dump
from ..kernel.mm.allocations import PageBatch, Zone
from ..kernel.mm.pages import Kind
from ..view.rows import Row, render, site_fields
from .options import listing_options, matching, opens_dump, site_filter, warn
from .progress import progress

_LIST = ("pfn", "address", "pages", "bytes", "node", "zone", "kind", "site", "function", "module",
         "inferred")  # fmt: skip
_SUMMARY = ("bytes", "pages", "allocations", "inferred_pages", "orders", "site", "function",
            "module")  # fmt: skip


@click.command("pages")
@opens_dump
@site_filter
@click.option("--node", type=int, metavar="N", help="Only of this NUMA node.")
@click.option("--zone", metavar="NAME", help="Only of this zone: DMA32, Normal ...")
@click.option("--order", type=click.IntRange(0, 40), metavar="N", help="Only of this order.")
@listing_options
def command(
    dump: Dump,
    filters: tuple[str, ...],
    node: int | None,
    zone: str | None,
    order: int | None,
    as_list: bool,
    limit: int | None,
    format_: str,
    exact: bool,
) -> None:
    """Pages of each site, by references instead of counters.

    Slab pages belong to the site that allocates slabs; allocdump objects shows the objects
    in them. The orders column counts allocations by order. Orders of allocations that
    are not compound are inferred, and marked so.

    \b
    Examples:
      allocdump pages vmcore --site 'leaker.c:*'
      allocdump pages vmcore --list --limit 20 --order 3
      allocdump pages vmcore --node 1 --format csv
    """
    report = dump.report()
    zones = [z for z in dump.zones if node in (None, z.node) and zone in (None, z.name)]
    if not zones:
        known = ", ".join(f"node {z.node} {z.name}" for z in dump.zones)
        raise click.UsageError(f"There is no such node and zone; there are: {known}.")
    warn(report.warnings)
    anywhere = node is None and zone is None
    wanted = PageFilter(matching(report, filters), order, None if anywhere else zones)
    with progress("Reading pages") as show:
        batches = map(wanted.choose, dump.pages(show))
        rows = _each(report, dump.zones, batches) if as_list else _sums(report, batches)
        fields = _LIST if as_list else _SUMMARY
        for text in render(islice(rows, limit), fields, format_, exact):
            click.echo(text, nl=False)


def _each(report: Report, zones: list[Zone], batches: Iterator[PageBatch]) -> Iterator[Row]:
    sites = report.sites
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
                "bytes": pages << 12,
                "node": zone.node if zone else None,
                "zone": zone.name if zone else None,
                "kind": Kind(batch.kind[i]).name.lower().replace("_", " "),
                **site_fields(sites, row),
                "inferred": bool(batch.inferred[i]),
            }


def _sums(report: Report, batches: Iterator[PageBatch]) -> Iterator[Row]:
    sites = report.sites
    totals = page_totals(batches, len(sites))
    for i, row in enumerate(totals.site.tolist()):
        orders = np.flatnonzero(totals.orders[i]).tolist()
        yield {
            "bytes": int(totals.pages[i]) << 12,
            "pages": int(totals.pages[i]),
            "allocations": int(totals.calls[i]),
            "inferred_pages": int(totals.inferred[i]),
            "orders": " ".join(f"{o}:{totals.orders[i][o]}" for o in orders),
            **site_fields(sites, row),
        }
