# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump usage``"""

from __future__ import annotations

import click

from ..api import Dump
from ..render import usage as render
from .options import opens_dump, warn
from .progress import progress

_DEPTH = 2


@click.command("usage")
@opens_dump
@click.option(
    "-d",
    "--depth",
    type=click.IntRange(0),
    metavar="N",
    help="Levels of the tree.  [default: 2; all for json]",
)
@click.option("-e", "--exact", is_flag=True, help="Sizes in bytes.")
@click.option(
    "-f", "--format", "format_", type=click.Choice(["tree", "json"]), default="tree",
    show_default=True,
)  # fmt: skip
def command(dump: Dump, depth: int | None, exact: bool, format_: str) -> None:
    """Where all memory went: every page in exactly one class, down to the call sites.

    Classes add up to all memory. Slabs are divided into the objects in them, so that
    nothing is counted twice. Beside each class stands the kernel's own counter, where it
    has one. What profiling itself costs is a class of its own.

    \b
    Examples:
      allocdump usage vmcore
      allocdump usage vmcore --depth 3
      allocdump usage vmcore --format json
    """
    report = dump.report()
    with progress("Reading memory") as show:
        root = dump.usage(show)
    warn(report.warnings + [f"{p}." for p in dump.attribution().problems])
    if format_ == "json":
        click.echo(render.as_json(root, depth, report.origin.state), nl=False)
    else:
        click.echo(
            render.as_tree(report, root, _DEPTH if depth is None else depth, exact), nl=False
        )
