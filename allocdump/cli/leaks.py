# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump leaks``"""

from __future__ import annotations

from functools import partial

import click

from ..formats.records import leaks as records
from ..session import Session
from ..view import leaks as projection
from .listing import Listing
from .options import Size, listing_options, matching, opens_dump, site_filter
from .output import warn
from .progress import progress


@click.command("leaks")
@opens_dump
@site_filter
@click.option("--min-size", type=Size(), metavar="SIZE", help="Only sites that lost SIZE: 64K, 1M.")
@listing_options
def command(
    dump: Session,
    filters: tuple[str, ...],
    min_size: int | None,
    as_list: bool,
    limit: int | None,
    format_: str,
    exact: bool,
) -> None:
    """Memory that nothing points at any more, by call site.

    All memory in use is searched for pointers, from global and per-CPU variables, tasks
    and their stacks on. Memory that nothing alive points at, directly or through other
    allocations, is lost: nobody can free it any more. Lost allocations that no other lost
    one points at are heads, most likely the leak itself; the cluster is all that is lost
    with them.

    In a dump that lacks memory that may hold pointers, nothing is called lost, only
    undecided. Pointers of an unknown form make false alarms: a few allocations of many do
    not prove a leak, all of thousands do.

    \b
    Examples:
      allocdump leaks vmcore
      allocdump leaks vmcore --site 'module=nvme*' --list
      allocdump leaks vmcore --min-size 1M --format json
    """
    report = dump.memory_report()
    with progress("Reading memory") as show_progress:
        found = dump.leaks(show_progress)
    warn(report.warnings + [f"{reason}." for reason in found.reasons])
    chosen = matching(report, filters)
    if as_list:
        each = records.each(report.sites, found, chosen)
        listing = Listing(each, records.EACH, partial(projection.each, report, found))
    else:
        sums = records.sums(report.sites, found, chosen, min_size or 0)
        listing = Listing(sums, records.SUMS, partial(projection.sums, report, found))
    listing.show(format_, exact, limit)
