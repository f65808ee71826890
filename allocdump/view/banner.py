# SPDX-License-Identifier: LGPL-2.1-or-later
"""The banner above the prompt of an interactive session."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

_WIDTH = 100


def banner(
    what: Sequence[str],
    core: str,
    types: str,
    commands: Sequence[str],
    helpers: Sequence[str],
    tries: Sequence[tuple[str, str]],
) -> str:
    """Lines that say what is open, what is there to use, and what to try.

    :param what: lines on the kernel and how it died
    :param core: the file, in words
    :param types: where types come from
    :param commands: names of the % commands
    :param helpers: names of the helpers
    :param tries: what to type in, and what that is
    """
    rows = {
        "commands": " ".join(f"%{name}" for name in commands) + "   (--help, | less, > file)",
        "dump": "dump.report(), .whois(), .pages(), .objects(), .audit(), .usage()",
        "prog": "drgn's program, with all of drgn.helpers.linux",
        "helpers": ", ".join(helpers),
    }
    lines = [*what, f"{core}, types from {types.upper()}", ""]
    for name, text in rows.items():
        indent = " " * 11
        lines += textwrap.wrap(text, _WIDTH, initial_indent=f"  {name:9}", subsequent_indent=indent)
    width = max(len(line) for line, _ in tries)
    lines += ["", "Try:", *(f"  {line:{width}}  # {meaning}" for line, meaning in tries)]
    return "\n".join(lines)
