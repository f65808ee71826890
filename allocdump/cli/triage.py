# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump triage``"""

from __future__ import annotations

import click

from ..api import Dump
from .options import opens_dump, output_option, output_width, write
from .progress import progress

_TOP = 5


@click.command("triage")
@opens_dump
@click.option(
    "-f",
    "--format",
    "format_",
    type=click.Choice(["text", "json", "markdown", "html"]),
    default="text",
    show_default=True,
    help="json: everything, exactly. markdown: for bug trackers. html: a page to mail.",
)
@click.option(
    "-n",
    "--top",
    type=click.IntRange(1),
    metavar="N",
    help="Rows of each table.  [default: 5, all for json and html]",
)
@click.option("-e", "--exact", is_flag=True, help="Sizes in bytes.")
@output_option
def command(dump: Dump, format_: str, top: int | None, exact: bool, output: str | None) -> None:
    """One page on a dead machine: the verdict, memory, suspects.

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
    with progress("Reading memory") as show:
        page = dump.triage(show, top or (None if format_ in ("json", "html") else _TOP))
    match format_:
        case "json":
            from ..formats import triage_json

            data = triage_json.as_json(page)
        case "markdown":
            from ..view import triage

            data = triage.as_markdown(page, exact=exact)
        case "html":
            from ..view.html import triage as html

            data = html.as_page(page)
        case _:
            from ..view import triage

            data = triage.as_text(page, exact=exact, width=output_width(output))
    write(data, output, to_terminal=format_ != "html")
