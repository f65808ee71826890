# SPDX-License-Identifier: LGPL-2.1-or-later
"""The allocation report as a document."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..analysis.groups import Groups
from ..analysis.keys import SITE as SITE_KEY
from ..analysis.memory import MemoryTotal
from ..analysis.report import Report, ReportRows
from ..analysis.sums import Total
from ..analysis.tree import group_tree
from ..analysis.usage import Node
from ..kernel.tags.sites import Provenance, Sites
from ..sentence import say
from . import units
from .header import about
from .listing import RowValues, by, key_columns, table, values_of
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
from .site import ELSEWHERE, NOTE, SITE, beside, notes, site_cells

_CAPTION = (
    "Click to go closer, and on the bar above to come back."
    " Slab pages and per-CPU pages are left out: the objects in them are at their own sites."
)
_CAPTION_OF_GROUPS = "Click to go closer, and on the bar above to come back."
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
    out = _document(report, shown, whole)
    out.sections = sections
    out.summary = list(_summary(report, rows, shown, whole))
    return out


def groups(
    report: Report, found: Groups, shown: Total, whole: Total, memory: MemoryTotal | None
) -> Document:
    """A treemap and a table of groups.

    :param shown: total of the chosen sites by their counters
    :param whole: the same of all sites
    :param memory: total of all sites by references, if groups are sums of these
    """
    heading = f"By {by(found.keys)}"
    treemap = Treemap(group_tree(found), _CAPTION_OF_GROUPS)
    what_else = Text([*beside(whole), *_references(memory)], only="page")
    rows = _table_of_groups(found, (memory or whole).bytes)
    out = _document(report, shown, whole)
    if memory:
        out.figures = [Fact("By references", say("{n:bytes}", n=memory.bytes)), *out.figures]
    out.sections = [Section(heading, [treemap, what_else, rows])]
    out.summary = list(_summary_of_groups(report, found, shown, whole, memory))
    return out


def _document(report: Report, shown: Total, whole: Total) -> Document:
    out = about(report, "Allocation report")
    out.lead = Fact("reason", report.origin.reason)
    out.figures = [
        Fact("Memory with a call site", say("{n:bytes}", n=whole.bytes)),
        Fact("Allocations", units.count(whole.calls)),
        Fact("Call sites", units.count(whole.sites)),
        Fact("Shown here", units.count(shown.sites)),
    ]
    return out


def _heading(rows: ReportRows, shown: Total) -> str:
    if len(rows) == shown.sites:
        return "Call sites"
    return (
        f"Call sites: {units.count(len(rows))} shown, with {len(rows):,} of {shown.sites:,} sites"
    )


def _table(rows: ReportRows, whole: Total) -> Table:
    columns = [
        Column("bytes", "bytes", "Size", priority=0),
        Column("calls", "count"),
        Column("average", "bytes", priority=3),
        Column("share", "share"),
        *SITE,
        NOTE,
    ]
    sizes, calls = rows.bytes.tolist(), rows.calls.tolist()
    averages = rows.average().tolist()
    numbers: list[list[Cell]] = [
        [size, count, average, size / whole.bytes if whole.bytes > 0 else _NO_WHOLE]
        for size, count, average in zip(sizes, calls, averages, strict=True)
    ]
    sites = rows.sites
    remarks, not_added = notes(sites), np.flatnonzero(sites.backing).tolist()
    for i in not_added:
        numbers[i][-1] = ELSEWHERE
    body = [
        [*_told(cells, sites, i), *site_cells(sites.name(i)), remarks[i]]
        for i, cells in enumerate(numbers)
    ]
    return Table(columns, body, noun="site", total="bytes", not_added=not_added)


def _table_of_groups(found: Groups, whole: int) -> Table:
    columns = [
        Column("bytes", "bytes", "Size", priority=0),
        Column("calls", "count"),
        *([] if SITE_KEY in found.keys else [Column("sites", "count", priority=2)]),
        Column("average", "bytes", priority=3),
        Column("share", "share"),
        *key_columns(found.keys),
    ]
    out = table(columns, _values(found, whole))
    out.noun, out.total = "group", "bytes"
    return out


def _values(found: Groups, whole: int) -> Iterator[RowValues]:
    for group in found:
        size, calls = group.sums["bytes"], group.sums["calls"]
        labels = zip(found.keys, group.labels, strict=True)
        site = found.site(group)
        yield {
            "bytes": size,
            "calls": calls,
            "sites": group.sites,
            "average": size / calls if calls > 0 else 0.0,
            "share": size / whole if whole > 0 else _NO_WHOLE,
            **({} if site is None else values_of(site)),
            **{key.name: label for key, label in labels if key is not SITE_KEY},
        }


def _told(cells: list[Cell], sites: Sites, i: int) -> list[Cell]:
    """Those of a site's numbers that something tells."""
    size, calls, average, share = cells
    if sites.unloaded[i] and sites.evidence[i] != Provenance.COUNTER:
        calls = average = UNKNOWN
        if sites.evidence[i] == Provenance.NONE:
            size = share = UNKNOWN
    return [size, calls, average, share]


def _summary(report: Report, rows: ReportRows, shown: Total, whole: Total) -> Iterator[Line]:
    chosen = ""
    if len(rows) and len(rows) != shown.sites:
        chosen = "{sites:count site} chosen: {chosen:bytes}; "
    yield say(
        f"{{n:count site}} shown: {{size:bytes}}; {chosen}"
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


def _summary_of_groups(
    report: Report, found: Groups, shown: Total, whole: Total, memory: MemoryTotal | None
) -> Iterator[Line]:
    chosen = ""
    if len(found) and sum(group.sites for group in found) != shown.added and not memory:
        chosen = "{sites:count site} chosen: {chosen:bytes}; "
    every = "all {every:count site}" + (" by counters" if memory else "")
    yield say(
        f"{{n:count group}} shown: {{size:bytes}}; {chosen}"
        f"{every}: {{whole:bytes}} in {{calls:count allocation}}",
        n=len(found),
        size=found.total("bytes"),
        sites=shown.sites,
        chosen=shown.bytes,
        every=whole.sites,
        whole=whole.bytes,
        calls=whole.calls,
    )
    yield from _references(memory)
    yield from beside(whole)


def _references(memory: MemoryTotal | None) -> list[Line]:
    """A sentence on the total by references, if rows are sums of these."""
    if memory is None:
        return []
    return [
        say(
            "rows are sums of memory itself, by references, which counters need not agree with:"
            " {size:bytes} in {calls:count allocation} of {sites:count site}",
            size=memory.bytes,
            calls=memory.calls,
            sites=memory.sites,
        )
    ]
