# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump paths``"""

from __future__ import annotations

import click

from ..api import Dump
from ..kernel.mm.whois import AddressError
from ..view import paths as render
from .options import opens_dump, warn
from .progress import progress


@click.command("paths")
@opens_dump
@click.argument("address", required=False)
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=3, show_default=True, metavar="N",
    help="Ways through N different holders.",
)  # fmt: skip
@click.option(
    "-f", "--format", "format_", type=click.Choice(["text", "json"]), default="text",
    show_default=True,
)  # fmt: skip
def command(dump: Dump, address: str | None, limit: int, format_: str) -> None:
    """The shortest ways from a root to an allocation.

    ADDRESS is as for allocdump whois: a number, pfn:N, phys:N or a symbol. Each step shows
    the place of the pointer to the next one. For lost memory, the ways begin at other lost
    memory.

    \b
    Examples:
      allocdump paths vmcore 0xffff9ae480872200
      allocdump paths vmcore pfn:2880 --limit 10
    """
    if address is None:
        raise click.UsageError("Missing argument 'ADDRESS'.")
    report = dump.report()
    with progress("Reading memory") as show:
        try:
            found = dump.paths(address, limit, show)
        except AddressError as e:
            raise click.BadParameter(str(e)) from None
    reach = dump.reach()
    warn(report.warnings + [f"{reason}." for reason in reach.reasons])
    text = render.as_json if format_ == "json" else render.as_text
    click.echo(text(report, reach, found), nl=False)
