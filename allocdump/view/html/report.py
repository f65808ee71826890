# SPDX-License-Identifier: LGPL-2.1-or-later
"""The allocation report as a page."""

from __future__ import annotations

import os

from ...analysis.report import BUILT_IN, Report, Rows, Total
from ...analysis.usage import Node
from ...formats.records import records
from ...kernel.tags.sites import UNKNOWN
from ...text import printable
from .. import units
from ..header import completeness
from ..table import NAME_HEADINGS, notes
from .page import Column, Page, Section, Table, Tree, render

TWICE = (
    "Slab memory is counted twice, as in /proc/allocinfo: its pages at alloc_slab_page, the"
    " objects in them at their own sites."
)


def as_page(report: Report, rows: Rows, shown: Total, whole: Total, tree: Node) -> str:
    """A treemap of all chosen sites, and a table of the given rows.

    :param shown: total of what was chosen, of which *rows* may be the top
    :param whole: total of the report
    :param tree: the chosen sites by directory and file
    """
    sections = []
    if tree.children:
        text = "Click to go closer, and on the bar above to come back. " + TWICE
        sections.append(Section("Memory by directory, file and function", [text], tree=Tree(tree)))
    sections.append(Section(_listed(rows, shown), table=_table(rows, whole)))
    return render(
        Page(
            "Allocation report",
            *heading(report),
            figures=[
                ("Memory with a call site", units.size(whole.bytes)),
                ("Allocations", units.count(whole.calls)),
                ("Call sites", units.count(whole.sites)),
                ("Shown here", units.count(shown.sites)),
            ],
            facts=facts(report),
            warnings=report.warnings,
            sections=sections,
        )
    )


def heading(report: Report) -> tuple[str, str]:
    """The kernel, and the reason of its death."""
    origin = report.origin
    return f"Linux {origin.system.release or UNKNOWN}", origin.reason


def facts(report: Report) -> list[tuple[str, str]]:
    """Facts on the dump, as names and values; an empty value is unknown."""
    origin, system = report.origin, report.origin.system
    crashed = system.crash_time
    return [
        ("Crashed", f"{crashed:%Y-%m-%d %H:%M:%S} UTC" if crashed else ""),
        ("Host", system.hostname if system.hostname != "(none)" else ""),
        ("Machine", system.machine),
        ("Build", system.version),
        ("Profiling", origin.profiling.describe()),
        ("Completeness", completeness(report)),
        ("Dump", f"{printable(os.fsencode(origin.core))} ({origin.format})"),
    ]


def _listed(rows: Rows, shown: Total) -> str:
    noun = "Call sites" if rows.by == "site" else f"By {rows.by}"
    listed = int(rows.count.sum())
    if listed == shown.sites:
        return noun
    return f"{noun}: {units.count(len(rows))} shown, with {listed:,} of {shown.sites:,} sites"


def _table(rows: Rows, whole: Total) -> Table:
    fields = list(records(rows, whole))

    def numbers(name: str) -> list[int | float | None]:
        return [row[name] for row in fields]

    columns = [
        Column("Size", "size", numbers("bytes")),
        Column("Calls", "count", numbers("calls")),
        Column("Average", "size", numbers("average")),
        Column("Share", "share", numbers("share")),
        Column(NAME_HEADINGS[rows.by].capitalize(), "path", list(rows.name)),
    ]
    if rows.sites is None:
        columns.insert(2, Column("Sites", "count", numbers("sites")))
        return Table(columns, noun="group", total="Size")
    columns.append(Column("Function", "code", list(rows.sites.function)))
    columns.append(Column("Module", "code", [m or BUILT_IN for m in rows.sites.module]))
    remarks = notes(rows.sites)
    if any(remarks):
        columns.append(Column("Note", "text", remarks))
    return Table(columns, noun="site", total="Size")
