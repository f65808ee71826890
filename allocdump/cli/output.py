# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ways for results: to standard output or a file, never a page to a terminal; warnings to
stderr. What goes to a terminal fits into it, and has colours."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TextIO

import click

from ..errors import OutputError
from ..source import compressed
from ..text import printable
from ..view.model import Document
from ..view.renderer import PLAIN, How, renderer
from ..view.wrap import wrap

output_option = click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="FILE",
    help="Write to FILE instead of standard output; compressed if it ends in .gz or .zst.",
)
"""The parameter ``output``: see :func:`write_all`."""

_STANDARD = "-"

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
"""Not a parameter: :func:`rendered` knows of it."""

_RENDERERS = {"table": "text"}
"""Names of formats that are not those of their renderers."""


def show(
    document: Document, format_: str = "table", output: str | None = None, exact: bool = False
) -> None:
    """Render a document, and put it where it was asked for."""
    write(rendered(document, format_, output, exact), output, to_terminal=format_ != "html")


def rendered(
    document: Document,
    format_: str,
    output: str | None,
    exact: bool = False,
    *,
    hint: bool = True,
) -> str:
    """The text of a document, as it is put there.

    :param hint: whether a last line tells of columns that there is no room for
    """
    colour = output in (None, _STANDARD) and has_colour(sys.stdout)
    how = How(
        exact,
        output_width(output),
        click.style if colour else PLAIN.style,
        wide=click.get_current_context().meta.get(_WIDE, False),
        hint="--wide shows everything" if hint else "",
        colour=colour,
    )
    return renderer(_RENDERERS.get(format_, format_))(document, how)


def write(data: str | bytes, output: str | None = None, *, to_terminal: bool = True) -> None:
    """Put a command's result where it was asked for: see :func:`write_all`."""
    write_all([data], output, to_terminal=to_terminal)


def write_all(
    parts: Iterable[str | bytes], output: str | None = None, *, to_terminal: bool = True
) -> None:
    """Put a command's result where it was asked for, part by part, as they are made.

    :param parts: bytes are written as they are, texts compressed if the name of *output* says so
    :param output: a file; None or ``-`` is standard output
    :param to_terminal: False for what no one would read there
    :raises OutputError: if it cannot be put there
    """
    if output is None or output == _STANDARD:
        if not to_terminal and sys.stdout.isatty():
            raise OutputError(
                "This format is not for a terminal; name a file with --output FILE, or use a pipe."
            )
        for part in parts:
            click.echo(part, nl=False, color=has_colour(sys.stdout))
        return
    rest = iter(parts)
    first = next(rest, "")
    with _writing(output):
        file = compressed.create(output, as_is=isinstance(first, bytes))
    try:
        for part in chain([first], rest):
            with _writing(output):
                file.write(_raw(part))
    finally:
        with _writing(output):
            file.close()


@contextmanager
def _writing(output: str) -> Iterator[None]:
    """Errors of writing to a file as sentences."""
    try:
        yield
    except OSError as e:
        shown = printable(os.fsencode(output))
        raise OutputError(f"{shown} cannot be written: {e.strerror}.") from None


def _raw(part: str | bytes) -> bytes:
    # Paths need not be UTF-8; as on standard output, they stay the bytes that they are.
    return click.unstyle(part).encode(errors="surrogateescape") if isinstance(part, str) else part


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
    return stream_width(sys.stdout if output in (None, _STANDARD) else None)


def stream_width(stream: TextIO | None) -> int | None:
    """Characters of a line: of COLUMNS, or of the terminal; None for a pipe or a file."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    if stream is None or not stream.isatty():
        return None
    return shutil.get_terminal_size().columns


def has_colour(stream: TextIO) -> bool:
    """Tell if colours are for a stream: on a terminal that has them.

    NO_COLOR turns them off, FORCE_COLOR on; the first has the last word.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"
