# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lines that are too long, as several or shorter ones: words stay whole, and so do the names of
files."""

from __future__ import annotations

import re
import textwrap

CUT = "…"
"""Stands for the part that is left out."""

_SHELL_WORD = re.compile(r"""(?:'[^']*'|"[^"]*"|\\.|[^\s'"\\])+""")
_CONTINUED = " \\"
_MODULE = re.compile(r" \[[^\]]*\]$")


def wrap(text: str, width: int | None, first: str = "", rest: str | None = None) -> list[str]:
    """Lines of at most *width* characters; at least one.

    A word is broken only if it is longer than a line.

    :param first: stands before the first line
    :param rest: stands before the others; None is as many blanks
    """
    rest = " " * len(first) if rest is None else rest
    if width is None:
        return [(first + text).rstrip()]
    if width < 2 * len(first):  # a narrow strip of text at the right would be no help
        rest = rest[: width // 4]
    return textwrap.wrap(
        text,
        max(width, 2),
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
    ) or [first.rstrip()]


def wrap_command(command: str, width: int | None, indent: str = "") -> list[str]:
    """Lines that a shell takes for one command; a word that is too long stays whole."""
    line = indent + command
    if width is None or len(line) <= width:
        return [line]
    if command.startswith("#"):
        return wrap(command, width, indent, f"{indent}# ")
    lines, line = [], ""
    for word in _SHELL_WORD.findall(command):
        longer = f"{line} {word}" if line else indent + word
        if line.strip() and len(longer) + len(_CONTINUED) > width:
            lines.append(line + _CONTINUED)
            longer = f"{indent}    {word}"
        line = longer
    return [*lines, line]


def shorten(name: str, width: int) -> str:
    """A name in at most *width* characters.

    Of a path, directories go, the first one last; then the name of a module behind it. The
    name of the file and its line stay. The end is cut off if all that is not enough.
    """
    if len(name) <= width:
        return name
    for text in dict.fromkeys([name, _MODULE.sub("", name)]):
        path, blank, rest = text.partition(" ")
        if "/" in path:
            path = shorten_path(path, max(width - len(blank + rest), 0))
        name = path + blank + rest
        if len(name) <= width:
            return name
    return name[: max(width - 1, 0)] + CUT


def shorten_path(path: str, width: int) -> str:
    """A path without as many directories as need be; its last part stays whole."""
    if len(path) <= width:
        return path
    first, *middle, last = path.split("/")
    for skipped in range(1, len(middle) + 1):
        short = "/".join([first, CUT, *middle[skipped:], last])
        if len(short) <= width:
            return short
    return f"{CUT}/{last}"


def least(name: str, enough: int) -> int:
    """Characters that :func:`shorten` needs to leave a name readable.

    :param enough: characters of a name other than that of a file
    """
    path, blank, rest = _MODULE.sub("", name).partition(" ")
    if "/" not in path:
        return min(len(name), enough)
    return min(len(name), len(shorten_path(path, 0) + blank + rest[:enough]))
