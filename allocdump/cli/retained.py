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
@click.option("--min-size", type=Size(), metavar="SIZE", help="Only holders of SIZE: 64K, 1M.")
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
    """Holders that keep memory alive: variables, tasks, stacks.

    A holder retains the memory that can be reached through it alone: without the holder,
    all of that would be free, or lost. Memory that several hold together is shared; in a
    healthy kernel that is most of it. Allocations of one site that hold one another, like
    the records of a list,
    stand in one line.

    With --site, the other direction: the holders of these sites' memory.

    \b
    Examples:
      allocdump retained vmcore
      allocdump retained vmcore --depth 3 --min-size 1M
      allocdump retained vmcore --site leaker.c:33
    """
    report = dump.memory_report()
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
