# SPDX-License-Identifier: LGPL-2.1-or-later
"""Triage as a page."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...kernel.tags.sites import UNKNOWN
from ...text import printable
from ...triage import verdict as triage
from ...triage.sentence import Value
from ...triage.verdict import Triage
from .. import units
from ..sentence import cell, text
from ..triage import NOTHING, for_people, title
from .page import Column, Kind, Page, Section, Table, Tree, render
from .usage import TREE

_NUMBERS: dict[triage.Kind, Kind] = {
    "bytes": "size",
    "count": "count",
    "number": "number",
    "share": "share",
    "seconds": "duration",
}
_TEXTS: dict[str, Kind] = {"site": "path", "function": "code", "module": "code", "caller": "code"}
"""By the keys of columns."""
_ACRONYMS = {"GFP", "OOM", "PID", "RSS"}


def as_page(page: Triage) -> str:
    """The verdict, the suspects, a treemap of all memory, and all tables."""
    release = _value(page, "died", "kernel", "release")
    return render(
        Page(
            "Triage",
            f"Linux {release or UNKNOWN}",
            text(page.verdict),
            figures=list(_figures(page)),
            facts=[
                *_facts(page.sections[0]),
                ("Dump", printable(os.fsencode(page.core))),
            ],
            warnings=page.missing,
            sections=[
                *_suspects(page),
                *_tables(page, page.sections[0]),
                *(part for section in page.sections[1:] for part in _section(page, section)),
            ],
        )
    )


def _value(page: Triage, section: str, fact: str, name: str) -> Value:
    """A value in one of the facts; None if it is not told."""
    facts = (f for s in page.sections if s.key == section for f in s.facts if f.key == fact)
    return next((f.value.values[name] for f in facts), None)


def _figures(page: Triage) -> Iterator[tuple[str, str]]:
    for name, *where in (
        ("Managed memory", "died", "machine", "managed"),
        ("Not reclaimable", "memory", "unreclaimable", "size"),
        ("At call sites", "holders", "at_sites", "size"),
    ):
        if value := _value(page, *where):
            yield name, cell(value, "bytes")
    yield "Suspects", units.count(len(page.suspects))
    for first in page.suspects[:1]:
        if first.bytes is not None:
            yield "First suspect", units.size(first.bytes)


def _facts(section: triage.Section) -> list[tuple[str, str]]:
    return [(_upper(fact.label), text(fact.value)) for fact in section.facts]


def _upper(label: str) -> str:
    return label[:1].upper() + label[1:]


def _suspects(page: Triage) -> Iterator[Section]:
    for rank, suspect in enumerate(page.suspects, 1):
        evidence = [text(sentence) for sentence in suspect.evidence]
        yield Section(f"Suspect {rank}: {title(suspect)}", evidence, suspect.commands)
    if not page.suspects:
        yield Section("Suspects", [NOTHING], page.commands)
    elif page.commands:
        yield Section("Where to look", code=page.commands)


def _section(page: Triage, section: triage.Section) -> Iterator[Section]:
    if section.facts:
        lines = [f"{name}: {value}" for name, value in _facts(section)]
        yield Section(section.title, lines)
    yield from _tables(page, section)


def _tables(page: Triage, section: triage.Section) -> Iterator[Section]:
    for table in section.tables:
        tree = page.usage if table.key == "usage" else None
        yield Section(
            table.title,
            [TREE] if tree else [],
            tree=Tree(tree) if tree else None,
            table=Table([_column(table, i) for i in for_people(table)]),
        )


def _column(table: triage.Table, number: int) -> Column:
    column = table.columns[number]
    words = [w if w in _ACRONYMS else w.lower() for w in column.heading.split()]
    heading = _upper(" ".join(words))
    values = [row[number] for row in table.rows]
    if kind := _NUMBERS.get(column.kind):
        return Column(heading, kind, values)
    texts = [
        None if value is None and column.kind != "module" else cell(value, column.kind)
        for value in values
    ]
    return Column(heading, _TEXTS.get(column.key, "text"), texts)
