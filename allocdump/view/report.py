# SPDX-License-Identifier: LGPL-2.1-or-later
"""The allocation report as a document."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..analysis.report import Report, ReportRows
from ..analysis.sums import Total
from ..analysis.usage import Node
from ..kernel.tags.sites import Provenance, Sites
from ..sentence import say
from . import units
from .header import about
from .model import (
    UNKNOWN,
    Absent,
    Cell,
    Column,
    Document,
    Fact,
    Line,
    Section,
    Table,
    Text,
    Treemap,
)
from .site import ELSEWHERE, NOTE, beside, name_columns, notes, site_cells

_CAPTION = (
    "Click to go closer, and on the bar above to come back."
    " Slab pages and per-CPU pages are left out: the objects in them are at their own sites."
)
_NO_WHOLE = Absent("no memory to have a share of")


def document(
    report: Report, rows: ReportRows, shown: Total, whole: Total, tree: Node | None = None
) -> Document:
    """A treemap of all chosen sites, and a table of the given rows.

    :param shown: total of what was chosen, of which *rows* may be the top
    :param whole: total of the report
    :param tree: the chosen sites by directory and file
    """
    sections = []
    if tree and tree.children:
        heading = "Memory by directory, file and function"
        sections.append(Section(heading, [Treemap(tree, _CAPTION)]))
    what_else = Text(beside(whole), only="page")
    sections.append(Section(_heading(rows, shown), [what_else, _table(rows, whole)]))
    out = about(report, "Allocation report")
    out.lead = Fact("reason", report.origin.reason)
    out.figures = [
        Fact("Memory with a call site", say("{n:bytes}", n=whole.bytes)),
        Fact("Allocations", units.count(whole.calls)),
        Fact("Call sites", units.count(whole.sites)),
        Fact("Shown here", units.count(shown.sites)),
    ]
    out.sections = sections
    out.summary = list(_summary(report, rows, shown, whole))
    return out


def _heading(rows: ReportRows, shown: Total) -> str:
    noun = "Call sites" if rows.by == "site" else f"By {rows.by}"
    listed, every = int(rows.count.sum()), _every(rows, shown)
    if listed == every:
        return noun
    return f"{noun}: {units.count(len(rows))} shown, with {listed:,} of {every:,} sites"


def _every(rows: ReportRows, shown: Total) -> int:
    """Number of the chosen sites that rows can show: groups are sums."""
    return shown.added if rows.sites is None else shown.sites


def _table(rows: ReportRows, whole: Total) -> Table:
    columns = [
        Column("bytes", "bytes", "Size", priority=0),
        Column("calls", "count"),
        Column("average", "bytes", priority=3),
        Column("share", "share"),
        *name_columns(rows.by),
    ]
    sizes, calls = rows.bytes.tolist(), rows.calls.tolist()
    averages = rows.average().tolist()
    numbers: list[list[Cell]] = [
        [size, count, average, size / whole.bytes if whole.bytes > 0 else _NO_WHOLE]
        for size, count, average in zip(sizes, calls, averages, strict=True)
    ]
    sites = rows.sites
    if sites is None:
        columns.insert(2, Column("sites", "count", priority=2))
        body = [
            [size, count, int(n), *more, name]
            for (size, count, *more), n, name in zip(numbers, rows.count, rows.name, strict=True)
        ]
        return Table(columns, body, noun="group", total="bytes")
    columns.append(NOTE)
    remarks, not_added = notes(sites), np.flatnonzero(sites.backing).tolist()
    for i in not_added:
        numbers[i][-1] = ELSEWHERE
    body = [
        [*_told(cells, sites, i), *site_cells(sites.name(i)), remarks[i]]
        for i, cells in enumerate(numbers)
    ]
    return Table(columns, body, noun="site", total="bytes", not_added=not_added)


def _told(cells: list[Cell], sites: Sites, i: int) -> list[Cell]:
    """Those of a site's numbers that something tells."""
    size, calls, average, share = cells
    if sites.unloaded[i] and sites.evidence[i] != Provenance.COUNTER:
        calls = average = UNKNOWN
        if sites.evidence[i] == Provenance.NONE:
            size = share = UNKNOWN
    return [size, calls, average, share]


def _summary(report: Report, rows: ReportRows, shown: Total, whole: Total) -> Iterator[Line]:
    noun = "site" if rows.by == "site" else "group"
    chosen = ""
    if len(rows) and int(rows.count.sum()) != _every(rows, shown):
        chosen = "{sites:count site} chosen: {chosen:bytes}; "
    yield say(
        f"{{n:count {noun}}} shown: {{size:bytes}}; {chosen}"
        "all {every:count site}: {whole:bytes} in {calls:count allocation}",
        n=len(rows),
        size=int(rows.counted_once.sum()),
        sites=shown.sites,
        chosen=shown.bytes,
        every=whole.sites,
        whole=whole.bytes,
        calls=whole.calls,
    )
    yield from beside(whole)
    if len(report.types) > 1:
        # Allocation sites are the tags of one type; a kernel can have others.
        kinds = (f"{kind.name} ({units.count(kind.count)})" for kind in report.types)
        yield f"code tag types: {', '.join(kinds)}"
