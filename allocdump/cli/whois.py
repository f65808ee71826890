# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump whois``"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ..formats.records import whois as records
from ..kernel.mm.whois import AddressError, Location
from ..session import Session
from ..text import printable
from ..view import whois as projection
from .options import LINES, exact_option, format_option, opens_dump, top_option
from .output import complain, output_option, rendered, warn, write_all
from .parameters import Command
from .progress import MEMORY, progress

if TYPE_CHECKING:
    from ..analysis.referrers import Referrers

_EXIT_NO_ADDRESS = 2


@click.command("whois", cls=Command)
@opens_dump
@click.argument("addresses", nargs=-1, metavar="ADDRESS...")
@click.option(
    "-r",
    "--referrers",
    "with_referrers",
    is_flag=True,
    help="Search all memory for pointers to what is there, and tell what holds each.",
)
@top_option("With --referrers: list N pointers to each address.", default=50)
@format_option("table", "markdown", "json", json=LINES)
@exact_option
@output_option
def command(
    dump: Session,
    addresses: tuple[str, ...],
    with_referrers: bool,
    top: int,
    format_: str,
    exact: bool,
    output: str | None,
) -> int:
    """The memory at an address, and the site that allocated it.

    ADDRESS is a number (direct map, vmalloc, module, kernel image, struct page, per-CPU
    pointer), pfn:N, phys:N or a symbol; without any, addresses are read from standard
    input. From the innermost outwards: an object's slab has a site of its own.

    \b
    Examples:
      allocdump whois vmcore 0xffff8881042a3c00
      allocdump whois vmcore pfn:53737 phys:0xd1e9000 init_task
      allocdump whois vmcore 0xffff8881042a3c00 --referrers
      grep -o 'ff[0-9a-f]\\{14\\}' registers.txt | allocdump whois vmcore -f json
    """
    report = dump.memory_report()
    warn(report.warnings)
    exit_code = 0

    def texts() -> Iterator[str]:
        told = False
        for found, referrers in answers():
            if not told:
                warn(f"{problem}." for problem in found.problems)
                if referrers:
                    warn(f"Not searched: {what}." for what in referrers.not_searched)
                told = True
            if format_ == "json":
                yield records.as_json(report.sites, found, referrers)
            else:
                document = projection.document(report.sites, found, referrers)
                yield rendered(document, format_, output, exact)

    def locations() -> Iterator[Location]:
        nonlocal exit_code
        for query in addresses or _from_stdin():
            try:
                yield dump.whois(query)
            except AddressError as e:
                complain(printable(str(e).encode()))
                exit_code = _EXIT_NO_ADDRESS

    def answers() -> Iterator[tuple[Location, Referrers | None]]:
        if not with_referrers:
            yield from ((found, None) for found in locations())
            return
        all_found = list(locations())
        with progress(*MEMORY) as show_progress:
            queries = [found.query for found in all_found]
            referrers = dump.all_referrers(queries, top, show_progress)
        yield from zip(all_found, referrers, strict=True)

    write_all(texts(), output)
    return exit_code


def _from_stdin() -> Iterator[str]:
    in_session = click.get_current_context().obj
    if in_session and sys.stdin is sys.__stdin__:
        # What comes from there are the session's next commands.
        raise click.UsageError("Name an ADDRESS, or redirect a file of them: < FILE.")
    for line in sys.stdin:
        yield from line.split()
