# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump diff``"""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from ..analysis import diff as analysis
from ..analysis.filters import matching
from ..analysis.tree import growth_tree
from ..formats.records import diff as records
from ..session.snapshot import STANDARD_INPUT, open_snapshot
from ..view import diff as projection
from ..view import units
from .options import (
    exact_option,
    format_option,
    min_size_option,
    site_filter,
    site_group_option,
    sort_option,
    top_option,
)
from .output import complain, output_option, show, warn, write
from .parameters import Command, Size

EXIT_GREW = 1


@click.command("diff", cls=Command)
@click.argument("before", metavar="BEFORE", type=click.Path(allow_dash=True))
@click.argument("after", metavar="AFTER", type=click.Path(allow_dash=True))
@site_filter
@min_size_option("Only rows that changed by at least SIZE.")
@click.option("-a", "--all", "unchanged", is_flag=True, help="Show rows that did not change, too.")
@click.option(
    "--fail-over",
    type=Size(),
    metavar="SIZE",
    help=f"End with exit code {EXIT_GREW} if a site, or group, grew by more than SIZE.",
)
@top_option()
@sort_option("growth", "calls", "after", "name", calls="allocations more than before")
@site_group_option
@format_option("table", "markdown", "json", "csv", "html")
@exact_option
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
    report saved with --format json --all. The texts may be compressed (gzip, xz, zstd), and
    - is standard input. The kernel may have been rebuilt in between: where only line numbers
    moved, sites are still matched, and marked as matched loosely.

    \b
    Examples:
      allocdump diff before.txt /proc/allocinfo --top 20
      allocdump diff monday/vmcore tuesday/vmcore --group-by module
      allocdump diff before.json after.json --filter module=mydrv --fail-over 64K
      allocdump diff before.txt after.txt --format html --output growth.html
      ssh server cat /proc/allocinfo | allocdump diff before.json.gz -
    """
    if before == after == STANDARD_INPUT:
        raise click.UsageError("Only one of BEFORE and AFTER can be standard input.")
    old, new = open_snapshot(before), open_snapshot(after)
    for snapshot in (old, new):
        warn([f"{snapshot.path}: {warning}" for warning in snapshot.warnings])
    changes = analysis.compare(old, new)
    assert changes.sites is not None
    changes = changes.take(matching(changes.sites, filters))
    rows = analysis.group(changes, group_by)
    failed = fail_over is not None and _grew(rows, fail_over)
    changed = rows.take(rows.changed)
    chosen = analysis.summary(changed)
    if not unchanged:
        rows = changed
    if min_size is not None:
        rows = rows.take(np.abs(rows.growth) >= min_size)
    shown = analysis.order(rows, sort or "growth", top)
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
    over = analysis.order(rows.take(rows.counted_once > limit))
    if len(over):
        noun = "site" if rows.by == "site" else "group"
        complain(
            f"{units.plural(len(over), noun)} grew by more than {units.size(limit)},"
            f" most of all {over.name[0]} ({units.growth(int(over.growth[0]))})."
        )
    return bool(len(over))
