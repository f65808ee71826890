# SPDX-License-Identifier: LGPL-2.1-or-later
"""Growth between two snapshots as a page."""

from __future__ import annotations

from ...analysis.diff import Changes, Snapshot, Summary
from ...analysis.report import BUILT_IN
from ...analysis.usage import Node
from .. import units
from ..diff import describe, notes, records, totals
from ..table import NAME_HEADINGS
from .page import Column, Page, Section, Table, Tone, Tree, render


def as_page(before: Snapshot, after: Snapshot, rows: Changes, chosen: Summary, tree: Node) -> str:
    """A treemap of what grew and shrank, and a table of the given rows.

    :param chosen: of all rows that changed, of which *rows* may be the top
    :param tree: all changes by directory and file
    """
    held = [int(snapshot.sites.bytes.sum()) for snapshot in (before, after)]
    sections = []
    if tree.children:
        text = "Areas are changes in size. Click to go closer, and on the bar above to come back."
        tones: dict[str, Tone] = {"grew": "bad", "shrank": "good"}
        sections.append(Section("What grew and what shrank", [text], tree=Tree(tree, tones)))
    sections.append(
        Section("Changes", [f"{totals(before, after, rows, chosen)}."], table=_table(rows))
    )
    return render(
        Page(
            "Memory growth",
            _kernels(before, after),
            _lead(rows),
            figures=[
                ("Before", units.size(held[0])),
                ("After", units.size(held[1])),
                ("Growth", units.growth(held[1] - held[0])),
                ("Changed", units.count(chosen.rows)),
                ("New and gone", f"{chosen.new:,} and {chosen.gone:,}"),
            ],
            facts=[("Before", describe(before)), ("After", describe(after))],
            warnings=[f"{one.path}: {text}" for one in (before, after) for text in one.warnings],
            sections=sections,
        )
    )


def _kernels(before: Snapshot, after: Snapshot) -> str:
    releases = [s.system.release for s in (before, after) if s.system and s.system.release]
    return " → ".join(f"Linux {release}" for release in dict.fromkeys(releases)) or "Linux"


def _lead(rows: Changes) -> str:
    """The largest growth."""
    if not len(rows) or not rows.growth.max() > 0:
        return "Nothing grew"
    i = int(rows.growth.argmax())
    function = f" {rows.sites.function[i]}" if rows.sites else ""
    return f"Most of all grew {rows.name[i]}{function}: {units.growth(int(rows.growth[i]))}"


def _table(rows: Changes) -> Table:
    fields = list(records(rows))

    def numbers(name: str) -> list[int | None]:
        return [row[name] for row in fields]

    columns = [
        Column("Growth", "growth", numbers("growth")),
        Column("Calls", "more", numbers("calls_growth")),
        Column("Before", "size", numbers("before")),
        Column("After", "size", numbers("after")),
        Column(NAME_HEADINGS[rows.by].capitalize(), "path", list(rows.name)),
    ]
    if rows.sites is not None:
        columns.append(Column("Function", "code", list(rows.sites.function)))
        columns.append(Column("Module", "code", [m or BUILT_IN for m in rows.sites.module]))
    columns.append(Column("Note", "text", notes(rows)))
    return Table(columns, noun="site" if rows.by == "site" else "group", total="Growth")
