# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump triage``"""

from __future__ import annotations

import click

from ..formats.records import triage as records
from ..session import Session
from ..view import triage as projection
from .options import exact_option, format_option, opens_dump, top_option
from .output import output_option, show, write
from .parameters import Command
from .progress import GRAPH, progress

_TOP = 5
_WHOLE = ("json", "html")


@click.command("triage", cls=Command)
@opens_dump
@top_option("Show the first N rows of each table.  [default: 5; all for json and html]")
@format_option("table", "markdown", "json", "html", json="everything, exactly")
@exact_option
@output_option
def command(dump: Session, top: int | None, format_: str, exact: bool, output: str | None) -> None:
    """One page on a machine, dead or alive: the verdict, memory, suspects.

    Reads the kernel log, the account of all memory, call sites, tasks, memory cgroups,
    zones and swap. Names suspects with their evidence, or says that nothing stands out.
    Works without an allocation profile, too, and names the gaps.

    \b
    Examples:
      allocdump triage vmcore
      allocdump triage vmcore --format markdown > bug.md
      allocdump triage vmcore --format html --output triage.html
      allocdump triage vmcore --format json | jq '.suspects[0].title.text'
    """
    with progress(*GRAPH) as show_progress:
        result = dump.triage(show_progress, top or (None if format_ in _WHOLE else _TOP))
    if format_ == "json":
        write(records.as_json(result), output)
        return
    document = projection.page(result) if format_ == "html" else projection.sheet(result)
    show(document, format_, output, exact)
