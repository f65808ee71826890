# SPDX-License-Identifier: LGPL-2.1-or-later
"""Help texts that fit into the terminal, examples and lists included."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import click

from ..view.wrap import wrap, wrap_command

_AS_IS = "\b\n"
"""Before a paragraph whose lines are to stay lines, as click has it."""
_EXAMPLES = "Examples:"
_ENTRY = re.compile(r"\S+  +")
"""Of a list: a word, and blanks up to its meaning."""
_CHOICES = re.compile(r"(?<=[|\[])(?=[^|\]])")
"""Places where the choices of an option can be divided."""


class Formatter(click.HelpFormatter):
    """Wraps also paragraphs whose lines are to stay lines, and choices of options."""

    def write_text(self, text: str) -> None:
        for number, paragraph in enumerate(re.split(r"\n\s*\n", text)):
            if number:
                self.write_paragraph()
            if paragraph.startswith(_AS_IS):
                for line in self._lines(paragraph.removeprefix(_AS_IS).splitlines()):
                    self.write(f"{line}\n")
            else:
                super().write_text(paragraph)

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        room = self.width - self.current_indent
        col_max = min(col_max, room * 2 // 5)
        super().write_dl(
            [(self._divided(first, room), rest) for first, rest in rows], col_max, col_spacing
        )

    def _divided(self, option: str, room: int) -> str:
        """An option with its choices, in as many lines as it takes."""
        if len(option) <= room:
            return option
        lines, indent = [""], " " * (self.current_indent + 4)
        for part in _CHOICES.split(option):
            if len(lines[-1] + part) > room:
                lines.append(indent)
            lines[-1] += part
        return "\n".join(lines)

    def _lines(self, lines: Sequence[str]) -> Iterator[str]:
        for line in lines:
            text = line.lstrip()
            indent = " " * (self.current_indent + len(line) - len(text))
            if lines[0] == _EXAMPLES and not text.startswith("%"):
                yield from wrap_command(text, self.width, indent)
            else:
                entry = _ENTRY.match(text)
                rest = indent + " " * (entry.end() if entry else 4)
                yield from wrap(text, self.width, indent, rest)


class Context(click.Context):
    """Context of a command, with such help."""

    formatter_class = Formatter
