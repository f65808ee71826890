# SPDX-License-Identifier: LGPL-2.1-or-later
"""Triage as a document: a sheet of lines, and a page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from ..kernel.tags.sites import UNKNOWN as NO_NAME
from ..kernel.tags.sites import SiteName
from ..sentence import Sentence, Value, say
from ..text import printable
from ..triage import verdict
from ..triage.verdict import Chapter, Field, Records, Suspect, Triage
from . import model, units
from .model import (
    UNKNOWN,
    Block,
    Cell,
    CodeBlock,
    Column,
    Document,
    Fact,
    Facts,
    Item,
    Items,
    Section,
    Table,
    Text,
)
from .site import SITE, site_cells
from .treemap import all_memory

NOTHING = "Nothing stands out."
"""Instead of suspects."""
_MIN = 12


def sheet(result: Triage) -> Document:
    """The chapters, then the suspects, then all commands."""
    sections = [Section(chapter.title, list(_chapter(chapter))) for chapter in result.sections]
    found = [Item(title(suspect), suspect.evidence) for suspect in result.suspects]
    suspects: Block = Items(found, numbered=True) if found else Text([NOTHING])
    sections.append(Section("Suspects", [suspects]))
    sections.append(Section("What next", [CodeBlock(commands(result))]))
    if result.missing:
        missing = Items([Item(sentence) for sentence in result.missing])
        sections.append(Section("Missing", [missing], numbered=False))
    return _document(result, sections)


def page(result: Triage) -> Document:
    """The suspects first, each with its commands; then all records."""
    died, *others = result.sections
    map_ = [Section("All memory", [all_memory(result.usage)])] if result.usage else []
    sections = [*map_, *_suspects(result), *_tables(result, died)]
    for chapter in others:
        if chapter.facts:
            sections.append(Section(chapter.title, [Facts(_facts(chapter, upper=True))]))
        sections += _tables(result, chapter)
    return _document(result, sections)


def _document(result: Triage, sections: list[Section]) -> Document:
    release = _value(result, "died", "kernel", "release")
    dump = Fact("Dump", printable(os.fsencode(result.core)))
    return Document(
        "Triage",
        f"Linux {release or NO_NAME}",
        Fact("verdict", result.verdict),
        [Fact(f.label, f.value, f.key == "next") for f in result.summary],
        figures=list(_figures(result)),
        facts=[*_facts(result.sections[0], upper=True), dump],
        problems=result.missing,
        sections=sections,
        chapters=True,
        badge=_badge(result),
        tone=_tone(result),
    )


def _badge(result: Triage) -> str:
    """The confidence in the first cause, or that there is none."""
    causes = [suspect for suspect in result.suspects if suspect.cause]
    return causes[0].confidence.words if causes else "no cause found"


def _tone(result: Triage) -> model.Tone | None:
    """Good is only what was looked for everywhere."""
    if any(suspect.cause for suspect in result.suspects):
        return "bad"
    return None if result.suspects or result.missing else "good"


def commands(result: Triage) -> list[str]:
    """All commands, under the suspect that they are about; each once."""
    out: dict[str, None] = {}
    for rank, suspect in enumerate(result.suspects, 1):
        new = [command for command in suspect.commands if command not in out]
        out |= dict.fromkeys([f"# suspect {rank}", *new] if new else [])
    if result.commands:
        out |= dict.fromkeys(["# where to look", *result.commands])
    return list(out)


def title(suspect: Suspect) -> Sentence:
    """A suspect in one line, with how sure it is."""
    role = "" if suspect.cause else "; not the cause"
    sure = f" ({suspect.confidence.words}{role})"
    return Sentence(suspect.title.template + "{sure}", suspect.title.values | {"sure": sure})


def _value(result: Triage, chapter: str, fact: str, name: str) -> Value:
    """A value in one of the facts; None if it is not told."""
    facts = (f for c in result.sections if c.key == chapter for f in c.facts if f.key == fact)
    return next((f.value.values[name] for f in facts), None)


def _figures(result: Triage) -> Iterator[Fact]:
    for name, *where in (
        ("Managed memory", "died", "machine", "managed"),
        ("Not reclaimable", "memory", "unreclaimable", "size"),
        ("At call sites", "holders", "at_sites", "size"),
    ):
        if value := _value(result, *where):
            yield Fact(name, say("{n:bytes}", n=value))
    yield Fact("Suspects", units.count(len(result.suspects)))
    for first in result.suspects[:1]:
        if first.bytes is not None:
            yield Fact("First suspect", say("{n:bytes}", n=first.bytes))


def _facts(chapter: Chapter, upper: bool = False) -> list[Fact]:
    labels = [f.label[:1].upper() + f.label[1:] if upper else f.label for f in chapter.facts]
    return [Fact(label, f.value) for label, f in zip(labels, chapter.facts, strict=True)]


def _chapter(chapter: Chapter) -> Iterator[Block]:
    yield Facts(_facts(chapter))
    for records in chapter.tables:
        if not records.detail:
            yield _table(records, records.title)


def _suspects(result: Triage) -> Iterator[Section]:
    for rank, suspect in enumerate(result.suspects, 1):
        name = title(suspect)
        heading = Sentence(f"Suspect {rank}: {name.template}", name.values)
        yield Section(heading, [Text(suspect.evidence), CodeBlock(suspect.commands)])
    if not result.suspects:
        yield Section("Suspects", [Text([NOTHING]), CodeBlock(result.commands)])
    elif result.commands:
        yield Section("Where to look", [CodeBlock(result.commands)])


def _tables(result: Triage, chapter: Chapter) -> Iterator[Section]:
    for records in chapter.tables:
        yield Section(records.title, [_table(records)])


def _table(records: Records, title: str = "") -> Table:
    fields = [(i, field) for i, field in enumerate(records.fields) if not field.detail]
    return Table(
        [column for _, field in fields for column in _columns(field)],
        [[cell for i, field in fields for cell in _cells(row[i], field)] for row in records.rows],
        title=title,
        left_out=records.left_out,
    )


def _columns(field: Field) -> list[Column]:
    """The columns of a field, shown if they say anything."""
    kind: model.ColumnKind
    match field.kind:
        case "site":
            return [replace(column, keep="if said") for column in SITE]
        case "label":
            return [Column(field.key, "path", names=True, keep="if said", min_width=_MIN)]
        case _:
            kind = field.kind
    return [
        Column(
            field.key,
            kind,
            field.title,
            "if said",
            min_width=None if kind in model.NUMERIC else _MIN,
        )
    ]


def _cells(value: verdict.RecordCell, field: Field) -> list[Cell]:
    if isinstance(value, SiteName):
        return [value.label] if field.kind == "label" else site_cells(value)
    return [UNKNOWN if value is None else value]
