# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump retained``"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click
import numpy as np

from ..analysis.filters import matching
from ..formats.records import retained as records
from ..session import Session
from ..view import retained as projection
from .listing import Listing
from .options import (
    LINES,
    exact_option,
    format_option,
    min_size_option,
    opens_dump,
    site_filter,
    sort_option,
    top_option,
)
from .output import output_option, warn
from .parameters import Command, Number
from .progress import GRAPH, progress

if TYPE_CHECKING:
    from ..analysis.dominators import Holding
    from ..graph.roots import Root


@click.command("retained", cls=Command)
@opens_dump
@site_filter
@min_size_option("Only holders of at least SIZE: 64K, 1M.")
@click.option(
    "-d", "--depth", type=Number(0), default=1, show_default=True, metavar="N",
    help="Levels of sites below each holder.",
)  # fmt: skip
@top_option("Show the first N holders, and N sites below each.", default=20)
@sort_option("size", "calls", "name")
@format_option("table", "markdown", "json", "csv", "html", json=LINES)
@exact_option
@output_option
def command(
    dump: Session,
    filters: tuple[str, ...],
    min_size: int | None,
    depth: int,
    top: int,
    sort: str | None,
    format_: str,
    exact: bool,
    output: str | None,
) -> None:
    """Holders that keep memory alive: variables, tasks, stacks.

    A holder retains the memory that can be reached through it alone: without the holder,
    all of that would be free, or lost. Memory that several hold together is shared; in a
    healthy kernel that is most of it. Allocations of one site that hold one another, like
    the records of a list, stand in one line.

    With --filter, the other direction: the holders of these sites' memory.

    \b
    Examples:
      allocdump retained vmcore
      allocdump retained vmcore --depth 3 --min-size 1M
      allocdump retained vmcore --filter leaker.c:33
    """
    report = dump.memory_report()
    chosen = matching(report.sites, filters)
    with progress(*GRAPH) as show_progress:
        dominators = dump.dominators(show_progress)
    problems = [f"{reason}." for reason in dominators.reach.reasons]
    warn(report.warnings + problems)
    from ..analysis.dominators import holders_of, holdings

    least, roots = min_size or 0, dominators.graph.roots
    if filters:
        rows = np.flatnonzero(chosen)
        of_sites = [h for h in holders_of(dominators, rows) if h.bytes >= least]
        holders = records.holders(report.sites, roots, of_sites)
        listing = Listing(
            holders,
            records.HOLDERS,
            partial(projection.holders, report, problems),
            calls="allocations",
        )
        listing.show(format_, exact, top, output, sort)
    else:
        held = [h for h in holdings(dominators, depth) if h.bytes >= least]
        levels = records.levels(report.sites, roots, _first(held, roots, sort, top), top, least)
        listing = Listing(levels, records.LEVELS, partial(projection.levels, report, problems))
        listing.show(format_, exact, output=output)


def _first(held: list[Holding], roots: list[Root], sort: str | None, top: int) -> list[Holding]:
    """The first holders in an order; they come largest first."""
    if sort == "calls":
        held = sorted(held, key=lambda holding: -holding.allocations)
    elif sort == "name":
        held = sorted(held, key=lambda h: "" if h.root is None else str(roots[h.root]))
    return held[:top]
