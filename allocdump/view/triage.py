# SPDX-License-Identifier: LGPL-2.1-or-later
"""Triage as a page of plain text and as Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from tabulate import tabulate

from ..triage.verdict import Section, Suspect, Table, Triage
from . import units
from .sentence import cell, text

_WIDTH = 100
"""Of sentences that do not go to a terminal."""
_MIN_CELL = 12
_NUMERIC = {"bytes", "count", "number", "share", "seconds"}
NOTHING = "Nothing stands out."
"""Instead of suspects."""


def as_text(page: Triage, *, exact: bool = False, width: int | None = None) -> str:
    """One page of plain text.

    :param width: columns available; None is as many as tables take
    """
    out = [*_wrap(text(page.verdict, exact), "VERDICT: ", width), ""]
    for number, section in enumerate(page.sections, 1):
        out += [f"{number}. {section.title.upper()}", *_section(section, exact, width)]
    after = len(page.sections) + 1
    out.append(f"{after}. SUSPECTS")
    for rank, suspect in enumerate(page.suspects, 1):
        out += _suspect(rank, suspect, exact, width)
    if not page.suspects:
        out.append(f"   {NOTHING}")
    out += ["", f"{after + 1}. WHAT NEXT", *(f"   {command}" for command in commands(page))]
    if page.missing:
        out += ["", "MISSING"]
        for sentence in page.missing:
            out += _wrap(sentence, "   - ", width)
    return "\n".join(out) + "\n"


def as_markdown(page: Triage, *, exact: bool = False) -> str:
    """The same for a bug tracker that knows Markdown (as GitHub does)."""
    out = ["# Triage", "", f"**{_escape(text(page.verdict, exact))}**", ""]
    for number, section in enumerate(page.sections, 1):
        out += [f"## {number}. {section.title}", ""]
        for fact in section.facts:
            out.append(f"- {_escape(fact.label)}: {_escape(text(fact.value, exact))}")
        out.append("")
        for table in (table for table in section.tables if not table.detail):
            out += [f"**{_escape(table.title)}**", "", *_pipes(table, exact), ""]
    after = len(page.sections) + 1
    out += [f"## {after}. Suspects", ""]
    for rank, suspect in enumerate(page.suspects, 1):
        out.append(f"{rank}. **{_escape(title(suspect, exact))}**")
        out += [f"    - {_escape(text(sentence, exact))}" for sentence in suspect.evidence]
    if not page.suspects:
        out.append(NOTHING)
    out += ["", f"## {after + 1}. What next", "", "```sh", *commands(page), "```", ""]
    if page.missing:
        out += ["## Missing", "", *(f"- {_escape(sentence)}" for sentence in page.missing), ""]
    return "\n".join(out)


def commands(page: Triage) -> list[str]:
    """All commands, under the suspect that they are about; each once."""
    out: dict[str, None] = {}
    for rank, suspect in enumerate(page.suspects, 1):
        new = [command for command in suspect.commands if command not in out]
        out |= dict.fromkeys([f"# suspect {rank}", *new] if new else [])
    if page.commands:
        out |= dict.fromkeys(["# where to look", *page.commands])
    return list(out) or ["# nothing: without a profile, no other command tells more"]


def title(suspect: Suspect, exact: bool = False) -> str:
    """A suspect in one line, with how sure it is."""
    role = "" if suspect.cause else "; not the cause"
    return f"{text(suspect.title, exact)} ({suspect.confidence.words}{role})"


def _suspect(rank: int, suspect: Suspect, exact: bool, width: int | None) -> Iterator[str]:
    yield from _wrap(title(suspect, exact), f"   {rank}. ", width)
    for sentence in suspect.evidence:
        yield from _wrap(text(sentence, exact), "      - ", width)


def _section(section: Section, exact: bool, width: int | None) -> Iterator[str]:
    label = max((len(fact.label) for fact in section.facts), default=0)
    for fact in section.facts:
        yield from _wrap(text(fact.value, exact), f"   {fact.label:<{label}}  ", width)
    for table in (table for table in section.tables if not table.detail):
        yield ""
        more = f" ({units.count(table.left_out)} more)" if table.left_out else ""
        yield f"   {table.title}{more}"
        yield from _plain(table, exact, width)
    yield ""


def _wrap(sentence: str, first: str, width: int | None) -> list[str]:
    return textwrap.wrap(
        sentence,
        max(width or _WIDTH, 2 * len(first)),
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]


def for_people(table: Table) -> list[int]:
    """Columns shown to people: no details, and no empty ones."""
    return [
        i
        for i, column in enumerate(table.columns)
        if not column.detail
        and any(row[i] is not None and row[i] is not False for row in table.rows)
    ]


def _cells(table: Table, exact: bool) -> tuple[list[str], list[list[str]], list[str]]:
    """Headings, rows and alignment of what is not too much for a page."""
    shown = for_people(table)
    columns = [table.columns[i] for i in shown]
    return (
        [column.heading for column in columns],
        [[cell(row[i], table.columns[i].kind, exact) for i in shown] for row in table.rows],
        ["right" if column.kind in _NUMERIC else "left" for column in columns],
    )


def _plain(table: Table, exact: bool, width: int | None) -> Iterator[str]:
    headings, rows, alignment = _cells(table, exact)
    body = [headings, *rows]
    if width is not None:
        _fit(body, alignment, width - 3)
    lines = tabulate(body, tablefmt="plain", disable_numparse=True, colalign=alignment)
    yield from (f"   {line}".rstrip() for line in lines.splitlines())


def _fit(body: list[list[str]], alignment: list[str], width: int) -> None:
    """Shorten text, the widest column first, until the lines fit."""
    widths = [max(map(len, column)) for column in zip(*body, strict=True)]
    while (excess := sum(widths) + 2 * (len(widths) - 1) - width) > 0:
        names = [i for i, side in enumerate(alignment) if side == "left" and widths[i] > _MIN_CELL]
        if not names:
            return
        widest = max(names, key=lambda i: widths[i])
        limit = max(widths[widest] - excess, _MIN_CELL)
        for row in body:
            if len(row[widest]) > limit:
                row[widest] = _cut(row[widest], limit)
        widths[widest] = limit


def _cut(raw: str, length: int) -> str:
    """The end of a path says more than its start; of a name it is the other way round."""
    return "…" + raw[1 - length :] if "/" in raw else raw[: length - 1] + "…"


def _pipes(table: Table, exact: bool) -> list[str]:
    headings, rows, alignment = _cells(table, exact)
    body = [[_escape(c) for c in row] for row in rows]
    lines = tabulate(
        body, headings, tablefmt="pipe", disable_numparse=True, colalign=alignment
    ).splitlines()
    if table.left_out:
        lines += ["", f"({units.count(table.left_out)} more)"]
    return lines


def _escape(raw: str) -> str:
    """Text that Markdown takes for text; underscores within words mean nothing to it."""
    return re.sub(r"([\\`*{}\[\]<>|#~&]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", raw)
