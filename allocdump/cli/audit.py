# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump audit``"""

from __future__ import annotations

import click
import numpy as np

from ..api import Dump
from ..kernel.tags.codetag import describe_tag
from ..view import audit as render
from .options import matching, opens_dump, site_filter, warn
from .progress import progress


@click.command("audit")
@opens_dump
@site_filter
@click.option("-a", "--all", "everything", is_flag=True, help="Sites that agree, too.")
@click.option("-e", "--exact", is_flag=True, help="Sizes in bytes.")
@click.option("-f", "--format", "format_", type=click.Choice(["table", "json"]), default="table")
def command(
    dump: Dump, filters: tuple[str, ...], everything: bool, exact: bool, format_: str
) -> None:
    """Counters against memory, site by site.

    Shows each site that does not agree: bytes by its counter; by references from pages
    (tails of higher orders inferred), slab objects and per-CPU objects; the difference, and
    its cause, where that can be told.
    """
    report = dump.report()
    with progress("Reading memory") as show:
        audit = dump.audit(show)
    warn(report.warnings + [f"{p}." for p in dump.attribution().problems])
    chosen = matching(report, filters)
    if not everything:
        chosen &= (audit.difference != 0) | (audit.inferred != 0)
    rows = np.flatnonzero(chosen)
    rows = rows[np.argsort(-np.abs(audit.difference[rows]), kind="stable")]
    strays = {a: text for a in audit.strays if (text := describe_tag(dump.prog, a))}
    if format_ == "json":
        text = render.as_json(report, audit, rows, strays)
    else:
        text = render.as_table(report, audit, rows, strays, exact)
    click.echo(text, nl=False)
