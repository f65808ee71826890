# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump pages``"""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from ..analysis.filters import matching
from ..analysis.groups import group
from ..analysis.keys import SITE, Allocations
from ..analysis.totals import PageFilter, page_sums
from ..errors import DamagedError
from ..formats.records import pages as records
from ..session import Session
from ..view import pages as projection
from .listing import Listing
from .options import (
    LINES,
    exact_option,
    format_option,
    group_option,
    list_option,
    opens_dump,
    site_filter,
    sort_option,
    top_option,
)
from .output import output_option, warn
from .parameters import Command, Number
from .profiles import PROFILES
from .progress import MEMORY, follow_for, progress


@click.command("pages", cls=Command)
@opens_dump
@site_filter
@click.option("--node", type=int, metavar="N", help="Only pages of this NUMA node.")
@click.option("--zone", metavar="NAME", help="Only pages of this zone: DMA32, Normal ...")
@click.option("--order", type=Number(0, 40), metavar="N", help="Only allocations of this order.")
@top_option()
@sort_option("size", "calls", "name", "address", default="size; address with --list")
@group_option()
@list_option
@format_option("table", "markdown", "json", "csv", "html", *PROFILES, json=LINES)
@exact_option
@output_option
def command(
    dump: Session,
    filters: tuple[str, ...],
    node: int | None,
    zone: str | None,
    order: int | None,
    top: int | None,
    sort: str | None,
    group_by: Any,
    as_list: bool,
    format_: str,
    exact: bool,
    output: str | None,
) -> None:
    """Pages of each site, by references instead of counters.

    Slab pages belong to the site that allocates slabs; allocdump objects shows the objects
    in them. The orders column counts allocations by order. Orders of allocations that
    are not compound are inferred, and marked so.

    \b
    Examples:
      allocdump pages vmcore --filter 'leaker.c:*'
      allocdump pages vmcore --list --top 20 --order 3
      allocdump pages vmcore --group-by cgroup,type
      allocdump pages vmcore --node 1 --format csv
      allocdump pages vmcore --group-by stack --format folded | flamegraph.pl > pages.svg
    """
    if as_list and group_by != (SITE,):
        raise click.UsageError("--group-by does not go with --list.")
    report = dump.memory_report()
    zones = [z for z in dump.zones if node in (None, z.node) and zone in (None, z.name)]
    if not zones and dump.zones.problems:
        raise DamagedError(f"{dump.path}: {dump.zones.problems[0]}.")
    if not dump.zones.found:
        raise DamagedError(f"{dump.path}: no zone has pages, so the list of zones is damaged.")
    if not zones:
        known = ", ".join(f"node {z.node} {z.name}" for z in dump.zones)
        raise click.UsageError(f"There is no such node and zone; there are: {known}.")
    warn(report.warnings + [f"{p}." for p in dump.zones.problems])
    anywhere = node is None and zone is None
    wanted = PageFilter(matching(report.sites, filters), order, None if anywhere else zones)
    follow_for(dump, group_by)
    with progress(*MEMORY) as show_progress:
        pages = dump.pages(show_progress)
        batches = map(wanted.choose, pages)
        if as_list:
            each = records.each(report.sites, dump.zones.found, batches, dump.kernel.page)
            found = Listing(each, records.EACH, projection.each)
        else:
            sums = records.sums(report.sites, batches, dump.kernel.page)
            found = Listing(sums, records.SUMS, projection.sums, calls="allocations")
            if group_by != (SITE,) or format_ in PROFILES:
                page = dump.kernel.page
                parts = ((Allocations.of_pages(batch), page_sums(batch, page)) for batch in batches)
                read = partial(group, group_by, dump.names, records.GROUPS, parts)
                found = found.grouped(read, group_by, records.GROUPS, projection.groups, report)
        found.show(format_, exact, top, output, sort)
    warn(f"{problem}." for problem in pages.problems)
