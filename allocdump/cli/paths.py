# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump paths``"""

from __future__ import annotations

import click

from ..formats.records import paths as records
from ..kernel.mm.whois import AddressError
from ..session import Session
from ..view import paths as projection
from .options import format_option, opens_dump
from .output import show, warn, write
from .progress import progress


@click.command("paths")
@opens_dump
@click.argument("address", required=False)
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=3, show_default=True, metavar="N",
    help="Ways through N different holders.",
)  # fmt: skip
@format_option("text", "json")
def command(dump: Session, address: str | None, limit: int, format_: str) -> None:
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
    report = dump.memory_report()
    with progress("Reading memory") as show_progress:
        try:
            found = dump.paths(address, limit, show_progress)
        except AddressError as e:
            raise click.BadParameter(str(e)) from None
    reach = dump.reach()
    warn(report.warnings + [f"{reason}." for reason in reach.reasons])
    if format_ == "json":
        write(records.as_json(report.sites, reach, found))
    else:
        show(projection.document(report, reach, found))
