# SPDX-License-Identifier: LGPL-2.1-or-later
"""The result of triage: chapters of facts and records, and suspects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from ..analysis.usage import Node
from ..confidence import Confidence
from ..kernel.tags.sites import SiteName
from ..result import Result, Values, column
from ..sentence import Sentence, Value

ValueKind = Literal[
    "text", "code", "path", "site", "label", "flag",
    "bytes", "count", "number", "share", "seconds",
]  # fmt: skip
"""Meaning of a field: ``number`` is a count without separators, as a pid; the value of a ``site``
or ``label`` is a :class:`.SiteName`, which people are shown in three columns, or in one."""

RecordCell = Value | SiteName


@dataclass(frozen=True)
class Field:
    """Meaning of a value of a record."""

    key: str
    """For programs."""
    kind: ValueKind = "text"
    title: str = ""
    """For people; empty: the key."""
    detail: bool = False
    """Too much for a page of text."""


@dataclass
class Records:
    """Things of one kind, with their values."""

    key: str
    title: str
    fields: list[Field]
    rows: list[list[RecordCell]] = field(default_factory=list)
    """None where nothing tells."""
    left_out: int = 0
    """Rows that there are beside those shown."""
    detail: bool = False
    """Too much for a page of text."""

    def fill(self, rows: Iterable[list[RecordCell]], top: int | None, least: float = 0) -> Records:
        """Take the first *top* of *rows*; returns self.

        :param top: None is all
        :param least: for people, rows whose first number is smaller are left out
        """
        every = list(rows)
        self.rows = every[:top]
        if top is not None and least:
            self.rows = [r for r in self.rows if isinstance(r[0], int) and r[0] >= least]
        self.left_out = len(every) - len(self.rows)
        return self


@dataclass(frozen=True)
class ChapterFact:
    key: str
    label: str
    value: Sentence


@dataclass
class Chapter:
    key: str
    title: str
    facts: list[ChapterFact] = field(default_factory=list)
    tables: list[Records] = field(default_factory=list)

    def say(self, key: str, label: str, template: str, **values: Value) -> None:
        """Add a fact."""
        self.facts.append(ChapterFact(key, label, Sentence(template, values)))

    def show(self, *tables: Records) -> None:
        """Add those tables that have rows."""
        self.tables += [table for table in tables if table.rows]


@dataclass
class Suspect:
    """A possible cause, its evidence, and the next things to look at."""

    rule: str
    """Name of the rule that found it."""
    subject: str
    """Key of its subject: rules that find the same say one thing together."""
    title: Sentence
    confidence: Confidence
    bytes: int | None
    """Memory that it explains; None if it is not about an amount."""
    cause: bool = True
    """True if it can be why memory ran out; else it is merely wrong."""
    evidence: list[Sentence] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    """Commands of allocdump, complete."""
    advice: Sentence | None = None
    """The thing to do about it."""
    below: list[ChapterFact] = field(default_factory=list)
    """Facts for the few lines below the verdict, where it is the first suspect."""
    rows: tuple[int, ...] = ()
    """Rows of the origins of its memory, as far as those tell it."""
    caches: tuple[str, ...] = ()
    """Slab caches that all objects of are its memory."""


@dataclass
class Triage(Result):
    """One page about a dead machine."""

    core: str
    """Path of the dump."""
    verdict: Sentence
    """The sentence to read first."""
    summary: list[ChapterFact]
    """Below the verdict: the death, the next step, and gaps that weaken the verdict."""
    sections: list[Chapter]
    """Sections on the death, memory, and its holders."""
    suspects: list[Suspect]
    """Strongest first; empty if nothing stands out."""
    commands: list[str]
    """Commands to go on with when no cause was found."""
    missing: list[str]
    """Sentences on things that could not be told, and why."""
    usage: Node | None = None
    """The account of all memory; None if the structures that describe memory are unreadable."""

    def to_dict(self) -> dict[str, Values]:
        """The suspects as columns, strongest first; ``bytes`` is None if nothing tells."""
        found = self.suspects
        return {
            "rule": column([one.rule for one in found]),
            "confidence": column([one.confidence.words for one in found]),
            "cause": column([one.cause for one in found]),
            "bytes": column([one.bytes for one in found]),
            "title": column([str(one.title) for one in found]),
        }

    def in_short(self) -> str:
        """The verdict."""
        return str(self.verdict)
