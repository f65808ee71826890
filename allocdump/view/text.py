# SPDX-License-Identifier: LGPL-2.1-or-later
"""Documents as lines of plain text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from . import units
from .grid import Grid
from .model import Block, CodeBlock, Document, Fact, Facts, Items, Line, Section, Table, Text, Tone
from .renderer import PLAIN, How
from .sentence import text
from .wrap import wrap, wrap_command

_WIDTH = 100
"""Of sentences in chapters that do not go to a terminal."""
_INDENT = "   "
"""Of what is in a chapter."""
_TONES: dict[Tone | None, dict[str, Any]] = {"bad": {"fg": "red"}, "good": {"fg": "green"}}


def render(document: Document, how: How = PLAIN) -> str:
    """All of a document as text, each line with its end."""
    return "".join(f"{line}\n" for line in lines(document, how))


def lines(document: Document, how: How = PLAIN) -> Iterator[str]:
    """The lines of a document."""
    yield from _Page(how).lines(document)


def screen(document: Document, width: int, exact: bool = False) -> list[str]:
    """The lines of a document, none of them longer than *width*."""
    return [line[:width] for line in lines(document, How(exact, width))]


class _Page:
    """A document on its way to lines."""

    def __init__(self, how: How) -> None:
        self.how = how
        self.left_out: dict[str, None] = {}
        """Headings of columns that there was no room for."""

    def lines(self, document: Document) -> Iterator[str]:
        if document.chapters:
            self.how = replace(self.how, width=self.how.width or _WIDTH, wide=self._whole)
            yield from self._chapters(document)
        else:
            yield from self._parts(document)
        if self.left_out and self.how.hint:
            names = ", ".join(name.lower() for name in self.left_out)
            sentence = f"Not shown for want of space: {names}; {self.how.hint}."
            yield ""
            for line in wrap(sentence, self.how.width):
                yield self.how.style(line, dim=True)

    @property
    def _whole(self) -> bool:
        """Whether tables are shown with all that they have."""
        return self.how.wide or self.how.width is None

    def _text(self, line: Line, first: str = "", rest: str | None = None) -> list[str]:
        return wrap(text(line, self.how.exact), self.how.width, first, rest)

    def _parts(self, document: Document) -> Iterator[str]:
        """Head, blocks and summary, with an empty line between them."""
        parts = [[part for line in document.head for part in self._text(line, rest="  ")]]
        for section in document.sections:
            parts += [list(self._block(block, "")) for block in section.seen("lines")]
        parts.append([part for line in document.summary for part in self._text(line)])
        for number, part in enumerate(filter(None, parts)):
            yield from [""] * (number > 0)
            yield from part

    def _chapters(self, document: Document) -> Iterator[str]:
        if document.lead:
            label = f"{document.lead.label.upper()}: "
            tone = _TONES.get(document.tone, {})
            for line in self._text(document.lead.value, label):
                yield self.how.style(line, bold=True, **tone)
        for fact in document.below:
            yield from self._below(fact)
        number = 0
        for section in document.sections:
            number += section.numbered
            yield ""
            heading = (f"{number}. " if section.numbered else "") + text(section.heading).upper()
            yield from (self.how.style(line, bold=True) for line in self._text(heading))
            yield from self._chapter(section)

    def _below(self, fact: Fact) -> Iterator[str]:
        label = f"{fact.label.upper() + ':':<8} "
        if not fact.whole:
            yield from self._text(fact.value, label)
            return
        width = None if self._whole else self.how.width
        first, *rest = wrap_command(text(fact.value, self.how.exact), width, " " * len(label))
        yield label + first[len(label) :]
        yield from rest

    def _chapter(self, section: Section) -> Iterator[str]:
        for block in section.seen("lines"):
            if isinstance(block, Table):
                yield ""
            yield from self._block(block, _INDENT)

    def _block(self, block: Block, indent: str) -> Iterator[str]:
        match block:
            case Table():
                yield from self._table(block, indent)
            case Facts():
                label = max((len(fact.label) for fact in block.facts), default=0)
                for fact in block.facts:
                    yield from self._text(fact.value, f"{indent}{fact.label:<{label}}  ")
            case Items():
                for number, item in enumerate(block.items, 1):
                    bullet = f"{number}. " if block.numbered else "- "
                    for line in self._text(item.title, indent + bullet):
                        yield self.how.style(line, bold=block.numbered)
                    for detail in item.details:
                        yield from self._text(detail, f"{indent}{_INDENT}- ")
            case Text():
                for paragraph in block.lines:
                    yield from self._text(paragraph, indent)
            case CodeBlock():
                yield from self._code(block, indent)

    def _code(self, block: CodeBlock, indent: str) -> Iterator[str]:
        width = None if self._whole else self.how.width
        for line in block.lines:
            raw = text(line, self.how.exact)
            if block.shell:
                yield from wrap_command(raw, width, indent)
            else:
                blanks = indent + " " * (len(raw) - len(raw.lstrip()))
                yield from wrap(raw.strip(), width, blanks, f"{blanks}  ")

    def _table(self, table: Table, indent: str) -> Iterator[str]:
        if table.title:
            more = f" ({units.count(table.left_out)} more)" if table.left_out else ""
            yield from self._text(f"{table.title}{more}", indent)
        grid = Grid.of(table, self.how.exact, bars=self.how.colour)
        if not grid.columns:
            return
        if not self._whole and self.how.width is not None:
            grid.fit(self.how.width - len(indent))
        self.left_out |= dict.fromkeys(grid.left_out)
        yield from (f"{indent}{line}" for line in grid.lines(self.how.style))
        for note in grid.footnotes:
            mark, _, words = note.partition(" ")
            yield from self._text(words, f"{indent}{mark} ")
