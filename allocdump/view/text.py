# SPDX-License-Identifier: LGPL-2.1-or-later
"""Documents as lines of plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from . import units
from .grid import Grid
from .model import Block, CodeBlock, Document, Facts, Items, Section, Table, Text
from .renderer import PLAIN, How
from .sentence import text

_WIDTH = 100
"""Of sentences that do not go to a terminal."""
_INDENT = "   "
"""Of what is in a chapter."""


def render(document: Document, how: How = PLAIN) -> str:
    """All of a document as text, each line with its end."""
    return "".join(f"{line}\n" for line in lines(document, how))


def lines(document: Document, how: How = PLAIN) -> Iterator[str]:
    """The lines of a document."""
    yield from _chapters(document, how) if document.chapters else _parts(document, how)


def screen(document: Document, width: int, exact: bool = False) -> list[str]:
    """The lines of a document, none of them longer than *width*."""
    return [line[:width] for line in lines(document, How(exact, width))]


def _parts(document: Document, how: How) -> Iterator[str]:
    """Head, blocks and summary, with an empty line between them."""
    parts = [[text(line, how.exact) for line in document.head]]
    for section in document.sections:
        parts += [list(_block(block, how, "")) for block in section.seen("lines")]
    parts.append([text(line, how.exact) for line in document.summary])
    for number, part in enumerate(filter(None, parts)):
        yield from [""] * (number > 0)
        yield from part


def _chapters(document: Document, how: How) -> Iterator[str]:
    if document.lead:
        yield from _wrap(
            text(document.lead.value, how.exact), f"{document.lead.label.upper()}: ", how
        )
    for fact in document.below:
        yield from _wrap(text(fact.value, how.exact), f"{fact.label.upper() + ':':<9}", how)
    number = 0
    for section in document.sections:
        number += section.numbered
        yield ""
        yield (f"{number}. " if section.numbered else "") + text(section.heading).upper()
        yield from _chapter(section, how)


def _chapter(section: Section, how: How) -> Iterator[str]:
    for block in section.seen("lines"):
        if isinstance(block, Table):
            yield ""
        yield from _block(block, how, _INDENT)


def _block(block: Block, how: How, indent: str) -> Iterator[str]:
    match block:
        case Table():
            yield from _table(block, how, indent)
        case Facts():
            label = max((len(fact.label) for fact in block.facts), default=0)
            for fact in block.facts:
                first = f"{indent}{fact.label:<{label}}  "
                yield from _wrap(text(fact.value, how.exact), first, how)
        case Items():
            for number, item in enumerate(block.items, 1):
                bullet = f"{number}. " if block.numbered else "- "
                yield from _wrap(text(item.title, how.exact), indent + bullet, how)
                for line in item.details:
                    yield from _wrap(text(line, how.exact), f"{indent}{_INDENT}- ", how)
        case Text():
            for line in block.lines:
                yield from _wrap(text(line, how.exact), indent, how)
        case CodeBlock():
            yield from (indent + text(line, how.exact) for line in block.lines)


def _table(table: Table, how: How, indent: str) -> Iterator[str]:
    if table.title:
        more = f" ({units.count(table.left_out)} more)" if table.left_out else ""
        yield f"{indent}{table.title}{more}"
    grid = Grid.of(table, how.exact)
    if not grid.columns:
        return
    if how.width is not None:
        grid.fit(how.width - len(indent))
    headings, *rows = (f"{indent}{line}" for line in grid.lines())
    yield how.style(headings, bold=True)
    yield from rows


def _wrap(sentence: str, first: str, how: How) -> list[str]:
    return textwrap.wrap(
        sentence,
        max(how.width or _WIDTH, 2 * len(first)),
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]
