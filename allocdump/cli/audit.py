# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump audit``"""

from __future__ import annotations

import click
import numpy as np
import numpy.typing as npt

from ..analysis.audit import Audit
from ..analysis.filters import matching
from ..formats.records import audit as records
from ..kernel.tags.codetag import describe_tag
from ..kernel.tags.sites import Sites
from ..session import Session
from ..view import audit as projection
from .options import (
    exact_option,
    format_option,
    opens_dump,
    site_filter,
    sort_option,
    top_option,
)
from .output import output_option, show, warn, write, write_all
from .parameters import Command
from .progress import MEMORY, progress


@click.command("audit", cls=Command)
@opens_dump
@site_filter
@click.option("-a", "--all", "everything", is_flag=True, help="Show sites that agree, too.")
@top_option()
@sort_option("difference", "size", "calls", "name", size="bytes by the counter")
@format_option("table", "markdown", "json", "csv", "html")
@exact_option
@output_option
def command(
    dump: Session,
    filters: tuple[str, ...],
    everything: bool,
    top: int | None,
    sort: str | None,
    format_: str,
    exact: bool,
    output: str | None,
) -> None:
    """Counters against memory, site by site.

    Shows each site that does not agree: bytes by its counter; by references from pages
    (tails of higher orders inferred), slab objects and per-CPU objects; the difference, and
    its cause, where that can be told.

    \b
    Examples:
      allocdump audit vmcore
      allocdump audit vmcore --all --filter 'mm/*' --sort size
      allocdump audit vmcore --format csv --output audit.csv
    """
    report = dump.report()
    chosen = matching(report.sites, filters)
    with progress(*MEMORY) as show_progress:
        audit = dump.audit(show_progress)
    problems = [f"{p}." for p in dump.attribution().problems]
    warn(report.warnings + problems)
    if not everything:
        chosen &= (audit.difference != 0) | (audit.inferred != 0)
    rows = _ordered(report.sites, audit, np.flatnonzero(chosen), sort)[:top]
    strays = {a: text for a in audit.strays if (text := describe_tag(dump.prog, a))}
    if format_ == "json":
        write(records.as_json(report, audit, rows, strays), output)
    elif format_ == "csv":
        write_all(records.as_csv(report, audit, rows), output)
    else:
        document = projection.document(report, audit, rows, strays, problems)
        show(document, format_, output, exact)


def _ordered(
    sites: Sites, audit: Audit, rows: npt.NDArray[np.intp], sort: str | None
) -> npt.NDArray[np.intp]:
    """Rows in an order: by default, those that differ most are first."""
    match sort:
        case "size":
            key = -audit.counter[rows]
        case "calls":
            key = -sites.calls[rows].view(np.int64)
        case "name":
            return np.array(sorted(rows.tolist(), key=sites.name), np.intp)
        case _:
            key = -np.abs(audit.difference[rows])
    return rows[np.argsort(key, kind="stable")]
