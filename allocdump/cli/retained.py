# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump retained``"""

from __future__ import annotations

from functools import partial

import click
import numpy as np

from ..errors import extra
from ..formats.records import retained as records
from ..session import Session
from ..view import retained as projection
from .listing import Listing
from .options import Size, exact_option, format_option, matching, opens_dump, site_filter
from .output import warn
from .progress import progress


@click.command("retained")
@opens_dump
@site_filter
@click.option("--min-size", type=Size(), metavar="SIZE", help="Only what retains SIZE: 64K, 1M.")
@click.option(
    "-d", "--depth", type=click.IntRange(0), default=1, show_default=True, metavar="N",
    help="Levels of sites below each holder.",
)  # fmt: skip
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=20, show_default=True, metavar="N",
    help="Only N holders, and N sites below each.",
)  # fmt: skip
@exact_option
@format_option("table", "json", "csv", help="json: one object per line.")
def command(
    dump: Session,
    filters: tuple[str, ...],
    min_size: int | None,
    depth: int,
    limit: int,
    exact: bool,
    format_: str,
) -> None:
    """Who keeps memory alive: global and per-CPU variables, tasks, stacks.

    A holder retains what can be reached through it alone: all of that would be free, or
    lost, without it. What several hold together is shared; that is most of what a healthy
    kernel has. Allocations of one site that hold one another, like the records of a list,
    stand in one line.

    With --site, the other direction: what holds the memory of these sites.

    \b
    Examples:
      allocdump retained vmcore
      allocdump retained vmcore --depth 3 --min-size 1M
      allocdump retained vmcore --site leaker.c:33
    """
    report = dump.report()
    with progress("Reading memory") as show_progress:
        dominators = dump.dominators(show_progress)
    problems = [f"{reason}." for reason in dominators.reach.reasons]
    warn(report.warnings + problems)
    with extra("leaks"):
        from ..analysis.dominators import holders_of, holdings
    least, roots = min_size or 0, dominators.graph.roots
    if filters:
        rows = np.flatnonzero(matching(report, filters))
        of_sites = [h for h in holders_of(dominators, rows) if h.bytes >= least][:limit]
        holders = records.holders(report.sites, roots, of_sites)
        listing = Listing(holders, records.HOLDERS, partial(projection.holders, report, problems))
    else:
        top = [h for h in holdings(dominators, depth) if h.bytes >= least][:limit]
        levels = records.levels(report.sites, roots, top, limit, least)
        listing = Listing(levels, records.LEVELS, partial(projection.levels, report, problems))
    listing.show(format_, exact)
