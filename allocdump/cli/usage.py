# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump usage``"""

from __future__ import annotations

import click

from ..analysis.divided import BY
from ..analysis.report import Report
from ..formats.records import fragmentation as fragmentation_records
from ..formats.records import usage as records
from ..session import Session
from ..view import fragmentation as fragmentation_projection
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
@click.option(
    "--by",
    type=click.Choice(BY),
    help="The same for each of these: cgroup, the memory cgroup that is charged; node, the NUMA"
    " node that it lies on.",
)
@click.option(
    "--fragmentation",
    is_flag=True,
    help="Instead of classes: free blocks of each zone, and what stands in the way of larger ones.",
)
@click.option(
    "--order",
    type=Number(1, 18),
    metavar="N",
    help="With --fragmentation: of blocks of 2^N pages.  [default: that of a huge page]",
)
@format_option("table", "markdown", "json", "csv", "html")
@exact_option
@output_option
def command(
    dump: Session,
    depth: int | None,
    by: str | None,
    fragmentation: bool,
    order: int | None,
    format_: str,
    exact: bool,
    output: str | None,
) -> None:
    """All memory, every page in exactly one class.

    Classes add up to all memory. Slabs are divided into the objects in them, so that
    nothing is counted twice. Beside each class stands the kernel's own counter, where it
    has one. The memory of profiling itself is a class of its own.

    \b
    Examples:
      allocdump usage vmcore
      allocdump usage vmcore --depth 3
      allocdump usage vmcore --by cgroup
      allocdump usage vmcore --fragmentation
      allocdump usage vmcore --format json
      allocdump usage vmcore --format html --output usage.html
    """
    if order is not None and not fragmentation:
        raise click.UsageError("--order is for --fragmentation.")
    if depth is not None and fragmentation:
        raise click.UsageError("--depth is not for --fragmentation, which is no tree.")
    if by is not None and fragmentation:
        raise click.UsageError("--by is not for --fragmentation, which tells of each zone.")
    report = dump.memory_report()
    if fragmentation:
        _fragmentation(dump, report, order, format_, exact, output)
        return
    with progress(*MEMORY) as show_progress:
        root = dump.usage(show_progress, by)
    read = dict.fromkeys([*dump.attribution().problems, *dump.vmalloc_areas().problems])
    problems = [f"{problem}." for problem in read]
    warn(report.warnings + problems)
    if format_ == "json":
        write(records.as_json(root, depth, report.origin.state, by), output)
    elif format_ == "csv":
        write_all(records.as_csv(root, depth), output)
    else:
        levels = _DEPTH if depth is None else depth
        document = projection.document(report, root, levels, problems, by)
        show(document, format_, output, exact)


def _fragmentation(
    dump: Session, report: Report, order: int | None, format_: str, exact: bool, output: str | None
) -> None:
    with progress(*MEMORY) as show_progress:
        found = dump.fragmentation(order, show_progress)
    problems = [f"{problem}." for problem in found.problems]
    warn(report.warnings + problems)
    if format_ == "json":
        write(fragmentation_records.as_json(found, report.origin.state), output)
    elif format_ == "csv":
        write_all(fragmentation_records.as_csv(found), output)
    else:
        show(fragmentation_projection.document(report, found, problems), format_, output, exact)
