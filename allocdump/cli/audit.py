# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump audit``"""

from __future__ import annotations

import click
import numpy as np

from ..formats.records import audit as records
from ..kernel.tags.codetag import describe_tag
from ..session import Session
from ..view import audit as projection
from .options import exact_option, format_option, matching, opens_dump, site_filter
from .output import show, warn, write
from .progress import MEMORY, progress


@click.command("audit")
@opens_dump
@site_filter
@click.option("-a", "--all", "everything", is_flag=True, help="Sites that agree, too.")
@exact_option
@format_option("table", "json")
def command(
    dump: Session, filters: tuple[str, ...], everything: bool, exact: bool, format_: str
) -> None:
    """Counters against memory, site by site.

    Shows each site that does not agree: bytes by its counter; by references from pages
    (tails of higher orders inferred), slab objects and per-CPU objects; the difference, and
    its cause, where that can be told.
    """
    report = dump.report()
    with progress(*MEMORY) as show_progress:
        audit = dump.audit(show_progress)
    problems = [f"{p}." for p in dump.attribution().problems]
    warn(report.warnings + problems)
    chosen = matching(report, filters)
    if not everything:
        chosen &= (audit.difference != 0) | (audit.inferred != 0)
    rows = np.flatnonzero(chosen)
    rows = rows[np.argsort(-np.abs(audit.difference[rows]), kind="stable")]
    strays = {a: text for a in audit.strays if (text := describe_tag(dump.prog, a))}
    if format_ == "json":
        write(records.as_json(report, audit, rows, strays))
    else:
        show(projection.document(report, audit, rows, strays, problems), exact=exact)
