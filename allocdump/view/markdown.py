# SPDX-License-Identifier: LGPL-2.1-or-later
"""Documents as Markdown, for bug trackers that know its tables (as GitHub does)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tabulate import tabulate

from . import units
from .grid import Grid
from .model import Block, CodeBlock, Document, Facts, Items, Line, Table, Text
from .renderer import PLAIN, How
from .sentence import text


def render(document: Document, how: How = PLAIN) -> str:
    """All of a document as Markdown."""
    return "\n".join(_lines(document, how))


def _lines(document: Document, how: How) -> Iterator[str]:
    yield from [f"# {_escape(document.title)}", ""]
    if document.chapters and document.lead:
        yield from [f"**{_escape(text(document.lead.value, how.exact))}**", ""]
        for fact in document.below:
            value = text(fact.value, how.exact)
            shown = f"`{value}`" if fact.whole and "`" not in value else _escape(value)
            yield f"- {_escape(fact.label)}: {shown}"
        yield from [""] * bool(document.below)
    for line in document.head:
        yield from [_escape(text(line, how.exact)), ""]
    number = 0
    for section in document.sections:
        blocks = section.seen("lines")
        number += section.numbered
        if document.chapters:
            chapter = f"{number}. " if section.numbered else ""
            yield from [f"## {chapter}{text(section.heading)}", ""]
        for block in blocks:
            yield from _block(block, how)
            yield ""
    for line in document.summary:
        yield from [_escape(text(line, how.exact)), ""]


def _block(block: Block, how: How) -> Iterator[str]:
    def escaped(line: Line) -> str:
        return _escape(text(line, how.exact))

    match block:
        case Table():
            yield from _table(block, how.exact)
        case Facts():
            yield from (f"- {_escape(fact.label)}: {escaped(fact.value)}" for fact in block.facts)
        case Items():
            for number, item in enumerate(block.items, 1):
                title = escaped(item.title)
                yield f"{number}. **{title}**" if block.numbered else f"- {title}"
                yield from (f"    - {escaped(line)}" for line in item.details)
        case CodeBlock():
            yield from [
                "```sh" if block.shell else "```",
                *(text(line, how.exact) for line in block.lines),
                "```",
            ]
        case Text():
            yield from map(escaped, block.lines)


def _table(table: Table, exact: bool) -> Iterator[str]:
    if table.title:
        yield from [f"**{_escape(table.title)}**", ""]
    grid = Grid.of(table, exact)
    if not grid.columns:
        return
    headings = [" ".join(lines) for lines in grid.headings]
    yield from tabulate(
        [[_escape(cell) for cell in row] for row in grid.cells()],
        headings,
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["right" if column.right else "left" for column in grid.columns],
    ).splitlines()
    if table.left_out:
        yield from ["", f"({units.count(table.left_out)} more)"]


def _escape(raw: str) -> str:
    """Text that Markdown takes for text; underscores within words mean nothing to it."""
    return re.sub(r"([\\`*{}\[\]<>|#~&]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", raw)
