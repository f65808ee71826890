# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump retained``"""

from __future__ import annotations

from itertools import islice

import click
import numpy as np

from ..api import Dump
from ..errors import extra
from ..view import retained as tree
from ..view.header import header
from ..view.rows import render
from .options import Size, matching, opens_dump, site_filter, warn
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
@click.option("-e", "--exact", is_flag=True, help="Sizes in bytes.")
@click.option(
    "-f", "--format", "format_", type=click.Choice(["table", "json", "csv"]), default="table",
    show_default=True, help="json: one object per line.",
)  # fmt: skip
def command(
    dump: Dump,
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
    report = dump.report()
    with progress("Reading memory") as show:
        dominators = dump.dominators(show)
    warn(report.warnings + [f"{reason}." for reason in dominators.reach.reasons])
    with extra("leaks"):
        from ..analysis.dominators import holders_of, holdings
    least = min_size or 0
    if format_ == "table":
        click.echo(header(report) + "\n")
    fields: tuple[str, ...]
    if filters:
        sites = np.flatnonzero(matching(report, filters))
        found = [h for h in holders_of(dominators, sites) if h.bytes >= least]
        rows = tree.holders(report, dominators.graph.roots, found)
        fields = tree.HOLDERS
    else:
        holders = [h for h in holdings(dominators, depth) if h.bytes >= least][:limit]
        rows = tree.rows(report, dominators.graph.roots, holders, limit, least)
        fields = tree.TREE if format_ == "table" else tree.FIELDS
    for text in render(islice(rows, None if not filters else limit), fields, format_, exact):
        click.echo(text, nl=False)
