# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tables as cells of text: what lines of text and of Markdown have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .model import Cell, Column, Table, Tree
from .sentence import cell

_GAP = 2
"""Blanks between columns."""


@dataclass
class Grid:
    """The visible part of a table; all cells are text."""

    columns: list[Column]
    rows: list[list[str]]
    """The headings first."""

    @classmethod
    def of(cls, table: Table, exact: bool) -> Grid:
        """The visible columns of a table."""
        shown = table.visible()
        columns = [table.columns[i] for i in shown]
        rows = [[column.heading.upper() for column in columns]]
        for row in table.rows:
            rows.append([_cell(row[i], table.columns[i], exact) for i in shown])
        if isinstance(table, Tree):
            for cells, level in zip(rows[1:], table.levels, strict=True):
                cells[-1] = table.indent * level + cells[-1]
        return cls(columns, rows)

    def widths(self) -> list[int]:
        """Characters of the longest cell of each column."""
        return [max(map(len, cells)) for cells in zip(*self.rows, strict=True)]

    def fit(self, width: int) -> None:
        """Cut cells, those of the widest column first, until lines fit into *width*."""
        widths = self.widths()
        while (excess := sum(widths) + _GAP * (len(widths) - 1) - width) > 0:
            left = [i for i, column in enumerate(self.columns) if widths[i] > _least(column)]
            if not left:
                return
            widest = max(left, key=lambda i: widths[i])
            column = self.columns[widest]
            widths[widest] = max(widths[widest] - excess, _least(column))
            for row in self.rows:
                row[widest] = _cut(row[widest], widths[widest], column.cuts_start)

    def lines(self) -> Iterator[str]:
        """One line for each row, with blanks between columns and none at the end."""
        widths = self.widths()
        for row in self.rows:
            cells = (
                text.rjust(width) if column.right else text.ljust(width)
                for text, width, column in zip(row, widths, self.columns, strict=True)
            )
            yield (" " * _GAP).join(cells).rstrip()


def _cell(value: Cell, column: Column, exact: bool) -> str:
    if column.zero and value == 0:
        return column.zero
    return cell(value, column.kind, exact)


def _least(column: Column) -> int:
    return 1 << 30 if column.min_width is None else column.min_width


def _cut(text: str, length: int, at_start: bool) -> str:
    if len(text) <= length:
        return text
    return "…" + text[1 - length :] if at_start else text[: length - 1] + "…"
