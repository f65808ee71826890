# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tables as cells of text: what lines of text and of Markdown have in common."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .model import Cell, Column, Table, Tree
from .sentence import cell
from .wrap import least, shorten

_GAP = 2
"""Blanks between columns."""
_NAME = 24
"""Characters of a name that is readable in any case."""
_BAR = 8
"""Characters of a bar for the whole."""
_EIGHTHS = " ▏▎▍▌▋▊▉"
_SURE: dict[str, dict[str, Any]] = {
    "certain": {"fg": "red", "bold": True},
    "very likely": {"fg": "red"},
    "likely": {"fg": "yellow"},
    "possible": {"dim": True},
}
"""Colours of words of confidence."""


@dataclass
class Grid:
    """The visible part of a table; all cells are text."""

    columns: list[Column]
    headings: list[list[str]]
    """One line or more of each column's."""
    rows: list[list[str]]
    indents: list[str] = field(default_factory=list)
    """Of a tree: stand before its cells, which are the last that are no footnotes."""
    footnotes: list[str] = field(default_factory=list)
    """Notes that have become numbers in the cells."""
    left_out: list[str] = field(default_factory=list)
    """Headings of columns that there was no room for."""

    @classmethod
    def of(cls, table: Table, exact: bool, bars: bool = False) -> Grid:
        """The visible columns of a table.

        :param bars: whether shares are shown as bars, too
        """
        shown = table.visible()
        columns = [table.columns[i] for i in shown]
        rows = [[_cell(row[i], table.columns[i], exact) for i in shown] for row in table.rows]
        out = cls(columns, [[column.heading.upper()] for column in columns], rows)
        if isinstance(table, Tree):
            out.indents = [table.indent * level for level in table.levels]
        if bars:
            for at, i in reversed([*enumerate(shown)]):
                if table.columns[i].kind == "share":
                    out._insert(at + 1, _BARS, [_bar(row[i]) for row in table.rows])
        return out

    def _insert(self, at: int, column: Column, cells: list[str]) -> None:
        self.columns.insert(at, column)
        self.headings.insert(at, [""])
        for row, text in zip(self.rows, cells, strict=True):
            row.insert(at, text)

    def widths(self) -> list[int]:
        """Characters of the longest cell of each column."""
        return [max(self._width(i), *map(len, self.headings[i])) for i in range(len(self.columns))]

    def _width(self, i: int) -> int:
        """Of the cells alone."""
        return max((len(self._indent(i, r) + row[i]) for r, row in enumerate(self.rows)), default=0)

    def _indent(self, i: int, r: int) -> str:
        return self.indents[r] if self.indents and i == self._tree() else ""

    def _tree(self) -> int:
        return max(i for i, column in enumerate(self.columns) if not column.footnote)

    def cells(self) -> list[list[str]]:
        """The rows, with what stands before the cells of a tree."""
        return [
            [self._indent(i, r) + text for i, text in enumerate(row)]
            for r, row in enumerate(self.rows)
        ]

    def fit(self, width: int) -> None:
        """Make lines fit into *width*.

        Notes become footnotes, long headings two lines. Columns go, those of least use first.
        Then paths lose directories, and names their modules and ends.
        """
        for step in (self._notes_below, self._break_headings, self._drop_bars):
            if self._excess(self.widths(), width) <= 0:
                return
            step()
        while self._excess(self._least(), width) > 0 and self._drop():
            pass
        for minimum in (self._least(), self._least(_NAME // 2), self._headings()):
            for i in sorted(range(len(self.columns)), key=self._cut_first):
                widths = self.widths()
                if (excess := self._excess(widths, width)) <= 0:
                    return
                if self.columns[i].min_width is not None:
                    self._cut(i, max(widths[i] - excess, minimum[i]))

    def _excess(self, widths: list[int], width: int) -> int:
        return sum(widths) + _GAP * (len(widths) - 1) - width

    def _drop_bars(self) -> None:
        for i in reversed(range(len(self.columns))):
            if self.columns[i] is _BARS:
                self._remove(i)

    def _notes_below(self) -> None:
        numbers: dict[str, int] = {}
        for i, column in enumerate(self.columns):
            if column.footnote:
                for row in self.rows:
                    if row[i]:
                        row[i] = f"[{numbers.setdefault(row[i], len(numbers) + 1)}]"
        self.footnotes = [f"[{number}] {note}" for note, number in numbers.items()]

    def _break_headings(self) -> None:
        for i, lines in enumerate(self.headings):
            longest = max(map(len, lines[0].split()), default=1)
            self.headings[i] = textwrap.wrap(lines[0], max(longest, self._width(i))) or [""]

    def _least(self, name: int = _NAME) -> list[int]:
        """Characters that each column needs at least.

        :param name: characters of a name that are enough
        """
        return [self._least_of(i, name) for i in range(len(self.columns))]

    def _least_of(self, i: int, name: int) -> int:
        column, heading = self.columns[i], max(map(len, self.headings[i]))
        if column.min_width is None:
            return max(heading, self._width(i))
        wishes = (len(self._indent(i, r)) + least(row[i], name) for r, row in enumerate(self.rows))
        return max(heading, max(wishes, default=0))

    def _headings(self) -> list[int]:
        """The least of all: names without anything but their start."""
        return [max(map(len, lines)) for lines in self.headings]

    def _drop(self) -> bool:
        """Remove the column of least use; False if all are needed."""
        i = max(range(len(self.columns)), key=lambda i: (self._rank(i), self._is_number(i), i))
        if not self._rank(i):
            return False
        if self.columns[i].kind == "module":
            self._modules_to_functions(i)
        self.left_out.insert(0, self.columns[i].heading)
        self._remove(i)
        return True

    def _is_number(self, i: int) -> bool:
        return self.columns[i].numeric

    def _rank(self, i: int) -> int:
        """The priority of a column; those go first that say the same in every row.

        The first column and the names that are next to it stay.
        """
        column = self.columns[i]
        if i == 0 or column.names or (column.footnote and self.footnotes):
            return 0
        same = len({row[i] for row in self.rows}) == 1 and len(self.rows) > 1
        return column.priority + 10 * (column.priority > 1 and same)

    def _modules_to_functions(self, i: int) -> None:
        """Keep the names of modules: behind those of functions."""
        for j, column in enumerate(self.columns):
            if column.key == "function":
                for row in self.rows:
                    if row[i] and not row[i].startswith("("):
                        row[j] += f" [{row[i]}]"

    def _remove(self, i: int) -> None:
        del self.columns[i], self.headings[i]
        for row in self.rows:
            del row[i]

    def _cut_first(self, i: int) -> tuple[bool, int]:
        """Paths first: they lose the least."""
        return not any("/" in row[i] for row in self.rows), -self._width(i)

    def _cut(self, i: int, width: int) -> None:
        for r, row in enumerate(self.rows):
            row[i] = shorten(row[i], max(width - len(self._indent(i, r)), 1))

    def lines(self, style: Callable[..., str]) -> Iterator[str]:
        """One line for each row, with blanks between columns and none at the end.

        The headings are first; there may be several lines of them.

        :param style: like :func:`click.style`
        """
        widths = self.widths()
        height = max(map(len, self.headings))
        tops = [[""] * (height - len(lines)) + lines for lines in self.headings]
        for heading in zip(*tops, strict=True):
            yield style(self._line(list(heading), widths).rstrip(), bold=True)
        for r, row in enumerate(self.rows):
            yield self._line(row, widths, r, style).rstrip()

    def _line(
        self,
        row: list[str],
        widths: list[int],
        r: int = -1,
        style: Callable[..., str] | None = None,
    ) -> str:
        cells = []
        for i, (text, column) in enumerate(zip(row, self.columns, strict=True)):
            if r >= 0:
                text = self._indent(i, r) + text
            padded = text.rjust(widths[i]) if column.right else text.ljust(widths[i])
            if style and (how := _colour(column, text)):
                padded = padded.replace(text, style(text, **how), 1)
            cells.append(padded)
        return (" " * _GAP).join(cells)


_BARS = Column("", min_width=None)
"""Of shares; found by its identity."""


def _bar(share: Cell) -> str:
    if not isinstance(share, (int, float)):
        return ""
    eighths = round(min(max(share, 0), 1) * _BAR * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def _colour(column: Column, text: str) -> dict[str, Any]:
    if column is _BARS:
        return {"fg": "cyan"} if text else {}
    return _SURE.get(text, {}) if column.kind == "confidence" else {}


def _cell(value: Cell, column: Column, exact: bool) -> str:
    if column.zero and value == 0:
        return column.zero
    return cell(value, column.kind, exact)
