# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump usage``"""

from __future__ import annotations

import click

from ..api import Dump
from ..view import usage as render
from .options import opens_dump, output_option, warn, write
from .progress import progress

_DEPTH = 2


@click.command("usage")
@opens_dump
@click.option(
    "-d",
    "--depth",
    type=click.IntRange(0),
    metavar="N",
    help="Levels of the tree.  [default: 2; all for json and html]",
)
@click.option("-e", "--exact", is_flag=True, help="Sizes in bytes.")
@click.option(
    "-f", "--format", "format_", type=click.Choice(["tree", "json", "html"]), default="tree",
    show_default=True, help="html: a page to mail.",
)  # fmt: skip
@output_option
def command(dump: Dump, depth: int | None, exact: bool, format_: str, output: str | None) -> None:
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
    report = dump.report()
    with progress("Reading memory") as show:
        root = dump.usage(show)
    problems = [f"{p}." for p in dump.attribution().problems]
    warn(report.warnings + problems)
    match format_:
        case "tree":
            data = render.as_tree(report, root, _DEPTH if depth is None else depth, exact)
        case "json":
            data = render.as_json(root, depth, report.origin.state)
        case "html":
            from ..view.html import usage as html

            data = html.as_page(report, root, problems)
    write(data, output, to_terminal=format_ != "html")
