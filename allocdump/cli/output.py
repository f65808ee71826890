# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ways for results: to standard output or a file, never a page to a terminal; warnings to
stderr. What goes to a terminal fits into it, and has colours."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import click

from ..errors import OutputError
from ..text import printable
from ..view.model import Document
from ..view.renderer import How, renderer
from ..view.wrap import wrap

output_option = click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="FILE",
    help="Write to FILE instead of standard output.",
)
"""The parameter ``output``: see :func:`write`."""

_WIDE = "allocdump.wide"


def _keep_wide(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta[_WIDE] = value


wide_option = click.option(
    "-w",
    "--wide",
    is_flag=True,
    expose_value=False,
    callback=_keep_wide,
    help="All columns, and names in full, even if lines are longer than the terminal is wide.",
)
"""Not a parameter: :func:`show` knows of it."""

_RENDERERS = {"table": "text", "tree": "text"}
"""Names of formats that are not those of their renderers."""


def show(
    document: Document,
    format_: str = "text",
    output: str | None = None,
    exact: bool = False,
    *,
    hint: bool = True,
) -> None:
    """Render a document, and put it where it was asked for.

    :param hint: whether a last line tells of columns that there is no room for
    """
    colour = output is None and has_colour(sys.stdout)
    wide = click.get_current_context().meta.get(_WIDE, False)
    how = How(
        exact,
        output_width(output),
        wide,
        hint="--wide shows everything" if hint else "",
        colour=colour,
        **({"style": click.style} if colour else {}),
    )
    text = renderer(_RENDERERS.get(format_, format_))(document, how)
    write(text, output, to_terminal=format_ != "html")


def write_all(parts: Iterable[str]) -> None:
    """Write to standard output part by part, as they are made."""
    for part in parts:
        click.echo(part, nl=False)


def write(data: str | bytes, output: str | None = None, *, to_terminal: bool = True) -> None:
    """Put a command's result where it was asked for.

    :param output: a file; None is standard output
    :param to_terminal: False for what no one would read there
    :raises OutputError: if it cannot be put there
    """
    if output is not None:
        # Paths need not be UTF-8; as on standard output, they stay the bytes that they are.
        raw = (
            click.unstyle(data).encode(errors="surrogateescape") if isinstance(data, str) else data
        )
        try:
            Path(output).write_bytes(raw)
        except OSError as e:
            raise OutputError(
                f"{printable(os.fsencode(output))} cannot be written: {e.strerror}."
            ) from None
    elif to_terminal or not sys.stdout.isatty():
        click.echo(data, nl=False, color=has_colour(sys.stdout))
    else:
        raise OutputError(
            "This format is not for a terminal; name a file with --output FILE, or use a pipe."
        )


def warn(messages: Iterable[str]) -> None:
    """Print warnings on stderr."""
    for message in messages:
        complain(f"warning: {message}")


def complain(message: str) -> None:
    """Print a message of allocdump's on stderr."""
    for line in wrap(f"allocdump: {message}", stream_width(sys.stderr), rest="  "):
        click.echo(line, err=True)


def output_width(output: str | None = None) -> int | None:
    """Characters of a line of output; None is as many as it takes."""
    return stream_width(None if output is not None else sys.stdout)


def stream_width(stream: TextIO | None) -> int | None:
    """Characters of a line: of COLUMNS, or of the terminal; None for a pipe or a file."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    if stream is None or not stream.isatty():
        return None
    return shutil.get_terminal_size().columns


def has_colour(stream: TextIO) -> bool:
    """Whether colours are for a stream: on a terminal that has them.

    NO_COLOR turns them off, FORCE_COLOR on; the first has the last word.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"
