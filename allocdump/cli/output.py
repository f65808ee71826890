# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ways for results: to standard output or a file, never a page to a terminal; warnings to
stderr."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from ..errors import OutputError
from ..text import printable
from ..view.model import Document
from ..view.renderer import How, renderer

output_option = click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="FILE",
    help="Write to FILE instead of standard output.",
)
"""The parameter ``output``: see :func:`write`."""

_RENDERERS = {"table": "text", "tree": "text"}
"""Names of formats that are not those of their renderers."""


def show(
    document: Document, format_: str = "text", output: str | None = None, exact: bool = False
) -> None:
    """Render a document, and put it where it was asked for."""
    how = How(exact, output_width(output), style)
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
        click.echo(data, nl=False)
    else:
        raise OutputError(
            "This format is not for a terminal; name a file with --output FILE, or use a pipe."
        )


def warn(messages: Iterable[str]) -> None:
    """Print warnings on stderr."""
    for message in messages:
        click.echo(f"allocdump: warning: {message}", err=True)


def output_width(output: str | None = None) -> int | None:
    """Columns of the terminal; None if output does not go to one."""
    terminal = output is None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if terminal else None


def style(text: str, **how: Any) -> str:
    """Like :func:`click.style`, unless the user wants no colours."""
    return text if os.environ.get("NO_COLOR") else click.style(text, **how)
