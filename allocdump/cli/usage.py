# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump usage``"""

from __future__ import annotations

import click

from ..formats.records import usage as records
from ..session import Session
from ..view import usage as projection
from .options import exact_option, format_option, opens_dump
from .output import output_option, show, warn, write, write_all
from .parameters import Command, Number
from .progress import MEMORY, progress

_DEPTH = 2


@click.command("usage", cls=Command)
@opens_dump
@click.option(
    "-d",
    "--depth",
    type=Number(0),
    metavar="N",
    help="Levels of the tree.  [default: 2; all for json, csv and html]",
)
@format_option("table", "markdown", "json", "csv", "html")
@exact_option
@output_option
def command(
    dump: Session, depth: int | None, format_: str, exact: bool, output: str | None
) -> None:
    """All memory, every page in exactly one class.

    Classes add up to all memory. Slabs are divided into the objects in them, so that
    nothing is counted twice. Beside each class stands the kernel's own counter, where it
    has one. The memory of profiling itself is a class of its own.

    \b
    Examples:
      allocdump usage vmcore
      allocdump usage vmcore --depth 3
      allocdump usage vmcore --format json
      allocdump usage vmcore --format html --output usage.html
    """
    report = dump.memory_report()
    with progress(*MEMORY) as show_progress:
        root = dump.usage(show_progress)
    read = dict.fromkeys([*dump.attribution().problems, *dump.vmalloc_areas().problems])
    problems = [f"{problem}." for problem in read]
    warn(report.warnings + problems)
    if format_ == "json":
        write(records.as_json(root, depth, report.origin.state), output)
    elif format_ == "csv":
        write_all(records.as_csv(root, depth), output)
    else:
        levels = _DEPTH if depth is None else depth
        show(projection.document(report, root, levels, problems), format_, output, exact)
