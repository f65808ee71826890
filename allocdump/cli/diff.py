# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump diff``"""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from ..analysis import diff as analysis
from ..analysis.report import Pattern
from ..analysis.tree import growth_tree
from ..formats.records import diff as records
from ..session.snapshot import open_snapshot
from ..view import diff as projection
from ..view import units
from .options import Size, format_option, group_option, site_filter, top_option
from .output import complain, output_option, show, warn, write

EXIT_GREW = 1


@click.command("diff")
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@format_option("table", "json", "csv", "html", help="html: a page to mail.")
@top_option
@click.option(
    "-s",
    "--sort",
    type=click.Choice(["growth", "calls", "after", "name"]),
    default="growth",
    show_default=True,
    help="Order of rows. growth: in bytes. calls: growth in allocations. after: size now.",
)
@group_option
@site_filter
@click.option(
    "--min-size", type=Size(), metavar="SIZE", help="Only rows that changed by at least SIZE."
)
@click.option("-a", "--all", "unchanged", is_flag=True, help="Rows that did not change, too.")
@click.option("-e", "--exact", is_flag=True, help="Sizes in bytes instead of KiB, MiB, GiB.")
@click.option(
    "--fail-over",
    type=Size(),
    metavar="SIZE",
    help=f"End with exit code {EXIT_GREW} if a site, or group, grew by more than SIZE.",
)
@output_option
def command(
    before: str,
    after: str,
    format_: str,
    top: int | None,
    sort: Any,
    group_by: Any,
    filters: tuple[str, ...],
    min_size: int | None,
    unchanged: bool,
    exact: bool,
    fail_over: int | None,
    output: str | None,
) -> int:
    """Growth between two snapshots, site by site.

    BEFORE and AFTER are each a vmcore, a saved /proc/allocinfo (or that file itself), or a
    report saved with --format json --all. The kernel may have been rebuilt in between:
    where only line numbers moved, sites are still matched, and marked as matched loosely.

    \b
    Examples:
      allocdump diff before.txt /proc/allocinfo --top 20
      allocdump diff monday/vmcore tuesday/vmcore --group-by module
      allocdump diff before.json after.json --filter module=mydrv --fail-over 64K
      allocdump diff before.txt after.txt --format html --output growth.html
    """
    old, new = open_snapshot(before), open_snapshot(after)
    for snapshot in (old, new):
        warn([f"{snapshot.path}: {warning}" for warning in snapshot.warnings])
    changes = analysis.compare(old, new)
    assert changes.sites is not None
    for text in filters:
        changes = changes.take(Pattern(text).matches(changes.sites))
        assert changes.sites is not None
    rows = analysis.group(changes, group_by)
    failed = fail_over is not None and _grew(rows, fail_over)
    changed = rows.take(rows.changed)
    chosen = analysis.summary(changed)
    if not unchanged:
        rows = changed
    if min_size is not None:
        rows = rows.take(np.abs(rows.growth) >= min_size)
    shown = analysis.order(rows, sort, top)
    match format_:
        case "json":
            write(records.as_json(old, new, shown, chosen), output)
        case "csv":
            write(records.as_csv(shown), output)
        case _:
            tree = growth_tree(changes) if format_ == "html" else None
            show(projection.document(old, new, shown, chosen, tree), format_, output, exact)
    return EXIT_GREW if failed else 0


def _grew(rows: analysis.Changes, limit: int) -> bool:
    """Tell if any row grew by more than *limit* bytes, and say which."""
    over = analysis.order(rows.take(rows.growth > limit))
    if len(over):
        noun = "site" if rows.by == "site" else "group"
        complain(
            f"{units.plural(len(over), noun)} grew by more than {units.size(limit)},"
            f" most of all {over.name[0]} ({units.growth(int(over.growth[0]))})."
        )
    return bool(len(over))
