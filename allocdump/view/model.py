# SPDX-License-Identifier: LGPL-2.1-or-later
"""Documents: all that a result has to say to people, before it is text, Markdown or HTML.

A projection makes a document of a result, a renderer shows any document. Cells and the places
of sentences are exact; only renderers round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..sentence import Sentence

if TYPE_CHECKING:
    from ..analysis.usage import Node

ColumnKind = Literal[
    "text", "path", "code", "module", "flag", "confidence",
    "bytes", "growth", "count", "change", "number", "share", "seconds",
]  # fmt: skip
"""Meaning of a column's cells. Texts: of a ``module``, the empty name is the kernel itself; words
of ``confidence`` have colours. Numbers: bytes, bytes with a sign, a count, a count with a
sign, a number that counts nothing (a pid), a part from 0 to 1."""

NUMERIC: frozenset[ColumnKind] = frozenset(
    {"bytes", "growth", "count", "change", "number", "share", "seconds"}
)

Keep = Literal["always", "if said", "if not zero"]
"""Condition for showing a column: always, if a cell says anything, if a cell says more than
zero."""

Medium = Literal["lines", "page"]
"""Text and Markdown are lines; HTML is a page, in which one can search and zoom."""

Tone = Literal["good", "bad"]

Line = str | Sentence


@dataclass(frozen=True)
class Absent:
    """A cell without a value."""

    reason: str
    mark: str = "-"
    """Shown in its place."""


UNKNOWN = Absent("nothing in the dump tells")
NOT_APPLICABLE = Absent("there is none", "")

Cell = str | bool | int | float | Absent


@dataclass(frozen=True)
class Column:
    """A column of a table, stated once for all renderers."""

    key: str
    kind: ColumnKind = "text"
    title: str = ""
    """Empty: made from the key."""
    keep: Keep = "always"
    zero: str = ""
    """Shown instead of zero; empty: zero itself."""
    align: Literal["left", "right"] | None = None
    """None: numbers stand right, texts left."""
    names: bool = False
    """Tells what a row is about: stands next to the first column."""
    priority: int = 1
    """Rank of use to a reader: what has the highest goes first where space is short; 0 stays."""
    min_width: int | None = None
    """Characters that a cell may be cut down to; None: it is never cut."""
    footnote: bool = False
    """A remark, which goes below the table where space is short."""

    @property
    def heading(self) -> str:
        """The title, with an upper-case letter first."""
        title = self.title or " ".join(
            word.upper() if word in _ACRONYMS else word for word in self.key.split("_")
        )
        return title[:1].upper() + title[1:]

    @property
    def numeric(self) -> bool:
        """True if cells are numbers."""
        return self.kind in NUMERIC

    @property
    def right(self) -> bool:
        """True if cells are aligned at their right ends."""
        return self.align == "right" if self.align else self.numeric


_ACRONYMS = {"gfp", "oom", "pid", "rss"}


@dataclass
class Table:
    """Rows of cells, in the order in which they are to be shown."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    """Empty where the section's heading says it."""
    left_out: int = 0
    """Rows that there are beside those shown."""
    noun: str = "row"
    """Meaning of a row, for ``1,214 sites``."""
    nouns: str = ""
    """Its plural, if that is not made with an s."""
    total: str = ""
    """Key of a column to add up for the rows that match a search."""
    not_added: Sequence[int] = ()
    """Numbers of the rows that are in no sum, since others hold the same bytes."""
    only: Medium | None = None

    def visible(self) -> list[int]:
        """Numbers of the columns that say anything, in the order in which they are shown."""
        shown = [i for i, column in enumerate(self.columns) if self._said(i, column.keep)]
        return self.ordered(shown)

    def ordered(self, shown: list[int]) -> list[int]:
        """Columns with the names next to the first."""
        names = [i for i in shown[1:] if self.columns[i].names]
        return [*shown[:1], *names, *(i for i in shown[1:] if i not in names)]

    def _said(self, i: int, keep: Keep) -> bool:
        if keep == "always":
            return True
        cells = (row[i] for row in self.rows if not isinstance(row[i], Absent))
        if keep == "if said":
            return any(cell is not False and cell != "" for cell in cells)
        return any(cells)


@dataclass
class Tree(Table):
    """A table whose rows are nodes of a tree, parents first; the last column is indented, but
    for one of footnotes."""

    levels: Sequence[int] = ()
    """Depth of each row, 0 at the root."""
    indent: str = "  "
    """Stands before the last cell once for each level."""

    def ordered(self, shown: list[int]) -> list[int]:
        """Columns as they are: the tree is at the end, for it is as wide as can be."""
        return shown


@dataclass
class Treemap:
    """Memory as areas in areas; each node's bytes are the sum of its children's."""

    root: Node
    caption: str
    tones: dict[str, Tone] = field(default_factory=dict)
    """Meaning of the root's children, by their names; others have colours of their own."""
    only: Medium | None = "page"


@dataclass(frozen=True)
class Fact:
    """A value and its name."""

    label: str
    value: Line
    whole: bool = False
    """Never broken into lines: a command, to copy into a shell."""


@dataclass
class Facts:
    """Values and their names, one below the other."""

    facts: Sequence[Fact]
    only: Medium | None = None


@dataclass
class Text:
    """Paragraphs."""

    lines: Sequence[Line]
    only: Medium | None = None


@dataclass(frozen=True)
class Item:
    """A numbered sentence, with what stands behind it."""

    title: Line
    details: Sequence[Line] = ()


@dataclass
class Items:
    """A list; items with details are numbered."""

    items: Sequence[Item]
    numbered: bool = False
    only: Medium | None = None


@dataclass
class CodeBlock:
    """Lines to be shown as they are, to copy into a shell."""

    lines: Sequence[Line]
    shell: bool = True
    """False if they are for reading only."""
    only: Medium | None = None


Block = Table | Treemap | Facts | Text | Items | CodeBlock


@dataclass
class Section:
    """A part of a document."""

    heading: Line = ""
    blocks: Sequence[Block] = ()
    numbered: bool = True
    """In a document with chapters, whether this is one."""

    def seen(self, medium: Medium) -> list[Block]:
        """The blocks that are for a medium."""
        return [block for block in self.blocks if block.only in (None, medium)]


@dataclass
class Document:
    """All that a result has to say."""

    title: str
    """Name of the kind of document: ``Allocation report``."""
    subject: str = ""
    """Kernel that it is about: ``Linux 6.12.117``."""
    lead: Fact | None = None
    """The most important sentence."""
    below: Sequence[Fact] = ()
    """The few facts that must be read with it, where there are chapters."""
    badge: str = ""
    """Some words beside the most important sentence, on a page with chapters."""
    tone: Tone | None = None
    """Meaning of the most important sentence for the machine; None is neither."""
    head: Sequence[Line] = ()
    """The same and the facts in few lines, where lines are all there is."""
    figures: Sequence[Fact] = ()
    """A few numbers, shown large on a page."""
    facts: Sequence[Fact] = ()
    """Shown small on a page; those without a value are left out."""
    problems: Sequence[str] = ()
    """Sentences on damage and doubt. Commands print them as warnings, a page shows them."""
    sections: Sequence[Section] = ()
    summary: Sequence[Line] = ()
    """Sums in words, below everything else, where lines are all there is."""
    chapters: bool = False
    """Sections have numbers and headings even where lines are all there is."""
