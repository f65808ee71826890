# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump paths``"""

from __future__ import annotations

import click

from ..formats.records import paths as records
from ..kernel.mm.whois import AddressError
from ..session import Session
from ..view import paths as projection
from .options import exact_option, format_option, opens_dump, top_option
from .output import output_option, show, warn, write
from .parameters import Command
from .progress import GRAPH, progress


@click.command("paths", cls=Command)
@opens_dump
@click.argument("addresses", nargs=-1, metavar="ADDRESS")
@top_option("Show ways through N different holders.", default=3)
@format_option("table", "markdown", "json")
@exact_option
@output_option
def command(
    dump: Session,
    addresses: tuple[str, ...],
    top: int,
    format_: str,
    exact: bool,
    output: str | None,
) -> None:
    """The shortest ways from a root to an allocation.

    ADDRESS is as for allocdump whois: a number, pfn:N, phys:N or a symbol. Each step shows
    the place of the pointer to the next one. For lost memory, the ways begin at other lost
    memory.

    \b
    Examples:
      allocdump paths vmcore 0xffff9ae480872200
      allocdump paths vmcore pfn:2880 --top 10
    """
    if len(addresses) != 1:
        raise click.UsageError("Name one ADDRESS.")
    report = dump.memory_report()
    with progress(*GRAPH) as show_progress:
        try:
            found = dump.paths(addresses[0], top, show_progress)
        except AddressError as e:
            raise click.BadParameter(str(e)) from None
    reach = dump.reach()
    warn(report.warnings + [f"{reason}." for reason in reach.reasons])
    if format_ == "json":
        write(records.as_json(report.sites, reach, found), output)
    else:
        show(projection.document(report, reach, found), format_, output, exact)
