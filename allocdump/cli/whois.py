# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump whois``"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from ..formats.records import whois as records
from ..kernel.mm.whois import AddressError
from ..session import Session
from ..text import printable
from ..view import whois as projection
from .options import LINES, exact_option, format_option, opens_dump
from .output import complain, output_option, rendered, warn, write_all
from .parameters import Command

_EXIT_NO_ADDRESS = 2


@click.command("whois", cls=Command)
@opens_dump
@click.argument("addresses", nargs=-1, metavar="ADDRESS...")
@format_option("table", "markdown", "json", json=LINES)
@exact_option
@output_option
def command(
    dump: Session, addresses: tuple[str, ...], format_: str, exact: bool, output: str | None
) -> int:
    """The memory at an address, and the site that allocated it.

    ADDRESS is a number (direct map, vmalloc, module, kernel image, struct page, per-CPU
    pointer), pfn:N, phys:N or a symbol; without any, addresses are read from standard
    input. From the innermost outwards: an object's slab has a site of its own.

    \b
    Examples:
      allocdump whois vmcore 0xffff8881042a3c00
      allocdump whois vmcore pfn:53737 phys:0xd1e9000 init_task
      grep -o 'ff[0-9a-f]\\{14\\}' registers.txt | allocdump whois vmcore -f json
    """
    report = dump.memory_report()
    warn(report.warnings)
    exit_code = 0

    def texts() -> Iterator[str]:
        nonlocal exit_code
        told = False
        for query in addresses or _from_stdin():
            try:
                found = dump.whois(query)
            except AddressError as e:
                complain(printable(str(e).encode()))
                exit_code = _EXIT_NO_ADDRESS
                continue
            if not told:
                warn(f"{problem}." for problem in found.problems)
                told = True
            if format_ == "json":
                yield records.as_json(report.sites, found)
            else:
                yield rendered(projection.document(report.sites, found), format_, output, exact)

    write_all(texts(), output)
    return exit_code


def _from_stdin() -> Iterator[str]:
    in_session = click.get_current_context().obj
    if in_session and sys.stdin is sys.__stdin__:
        # What comes from there are the session's next commands.
        raise click.UsageError("Name an ADDRESS, or redirect a file of them: < FILE.")
    for line in sys.stdin:
        yield from line.split()
