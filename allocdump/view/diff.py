# SPDX-License-Identifier: LGPL-2.1-or-later
"""Growth between two snapshots as a document."""

from __future__ import annotations

import numpy as np

from ..analysis.diff import Changes, Match, Snapshot, Summary
from ..analysis.sums import Total
from ..analysis.usage import Node
from ..sentence import Sentence, Value, say
from . import units
from .header import machine
from .model import UNKNOWN, Block, Cell, Column, Document, Fact, Line, Section, Table, Text, Treemap
from .site import NOTE, elsewhere, name_columns, site_cells

_CAPTION = "Areas are changes in size. Click to go closer, and on the bar above to come back."


def document(
    before: Snapshot, after: Snapshot, rows: Changes, chosen: Summary, tree: Node | None = None
) -> Document:
    """Both snapshots, a treemap of growth and shrinkage, a table of the given rows, totals.

    :param chosen: of all rows that changed, of which *rows* may be the top
    :param tree: all changes by directory and file
    """
    both = (before, after)
    held = [snapshot.total.bytes for snapshot in both]
    totals = _totals(held, rows, chosen)
    what_else = _beside(before.total, after.total)
    sections = []
    if tree and tree.children:
        map_ = Treemap(tree, _CAPTION, {"grew": "bad", "shrank": "good"})
        sections.append(Section("What grew and what shrank", [map_]))
    on_page = [Sentence(line.template + ".", line.values) for line in (totals, *what_else)]
    shown = Table(_columns(rows), _rows(rows), noun=_noun(rows), total="growth")
    if rows.sites is not None:
        shown.not_added = np.flatnonzero(rows.sites.backing).tolist()
    blocks: list[Block] = [Text(on_page, only="page"), shown]
    if not len(rows):
        shown.only = "page"
    sections.append(Section("Changes", blocks))
    return Document(
        "Memory growth",
        _kernels(before, after),
        Fact("most", _most(rows)),
        head=[f"before  {describe(before)}", f"after   {describe(after)}"],
        figures=[
            Fact("Before", say("{n:bytes}", n=held[0])),
            Fact("After", say("{n:bytes}", n=held[1])),
            Fact("Growth", say("{n:growth}", n=held[1] - held[0])),
            Fact("Changed", units.count(chosen.rows)),
            Fact("New and gone", f"{chosen.new:,} and {chosen.gone:,}"),
        ],
        facts=[Fact("Before", describe(before)), Fact("After", describe(after))],
        problems=[f"{one.path}: {warning}" for one in both for warning in one.warnings],
        sections=sections,
        summary=[totals, *what_else],
    )


def describe(snapshot: Snapshot) -> str:
    """One line: the file, and what is known of its kernel."""
    what = machine(snapshot.system, snapshot.reason) if snapshot.system else "/proc/allocinfo"
    return f"{snapshot.path}: {what} | {units.plural(len(snapshot.sites), 'site')}"


def _kernels(before: Snapshot, after: Snapshot) -> str:
    releases = [s.system.release for s in (before, after) if s.system and s.system.release]
    return " → ".join(f"Linux {release}" for release in dict.fromkeys(releases)) or "Linux"


def _most(rows: Changes) -> Line:
    if not len(rows) or not rows.counted_once.max() > 0:
        return "Nothing grew"
    i = int(rows.counted_once.argmax())
    function = f" {rows.sites.function[i]}" if rows.sites else ""
    return say(
        "Most of all grew {name}{function}: {size:growth}",
        name=rows.name[i],
        function=function,
        size=int(rows.growth[i]),
    )


def _noun(rows: Changes) -> str:
    return "site" if rows.by == "site" else "group"


def _columns(rows: Changes) -> list[Column]:
    return [
        Column("growth", "growth", priority=0),
        Column("calls", "change", priority=2),
        Column("before", "bytes"),
        Column("after", "bytes"),
        *name_columns(rows.by),
        NOTE,
    ]


def _rows(rows: Changes) -> list[list[Cell]]:
    remarks, growth, calls = notes(rows), rows.growth.tolist(), rows.calls.tolist()
    return [
        [
            growth[i],
            calls[i] if rows.counted[i] else UNKNOWN,
            int(rows.before[i]),
            int(rows.after[i]),
            *(site_cells(rows.sites.name(i)) if rows.sites else [rows.name[i]]),
            remarks[i],
        ]
        for i in range(len(rows))
    ]


def notes(rows: Changes) -> list[str]:
    """Remarks on each row; often empty."""
    out = []
    new, gone = rows.new.tolist(), rows.gone.tolist()
    for i in range(len(rows)):
        words = ["new"] * new[i] + ["gone"] * gone[i]
        if rows.sites is not None and rows.match is not None and rows.old_line is not None:
            if rows.match[i] == Match.MOVED:
                words.append(f"matched loosely: line {rows.old_line[i]} before")
            elif rows.match[i] == Match.TOGETHER:
                counts = f"{rows.count_before[i]:,} before and {rows.count_after[i]:,} after"
                words.append(f"matched loosely: sites of the function together, {counts}")
            if rows.sites.unloaded[i]:
                words.append("module unloaded")
            if rows.sites.inaccurate[i]:
                words.append("inaccurate")
            if (role := rows.sites.role[i]).backing:
                words.append(elsewhere(role))
        out.append(", ".join(words))
    return out


def _beside(before: Total, after: Total) -> list[Sentence]:
    """A sentence on the memory that the totals leave out; none if that is nothing."""
    pages = {one.role: [0, 0] for one in (*before.left_out, *after.left_out) if one.bytes}
    for i, whole in enumerate((before, after)):
        for one in whole.left_out:
            if one.bytes:
                pages[one.role][i] = one.bytes
    if not pages:
        return []
    values: dict[str, Value] = {}
    for i, (role, sizes) in enumerate(pages.items()):
        values |= {f"role{i}": str(role), f"before{i}": sizes[0], f"after{i}": sizes[1]}
    names = " and ".join(
        f"{{role{i}}} ({{before{i}:bytes}} before, {{after{i}:bytes}} after)"
        for i in range(len(pages))
    )
    return [say(f"sums count objects, not the {names} that they are in", **values)]


def _totals(held: list[int], rows: Changes, chosen: Summary) -> Sentence:
    """Amount of change in one sentence."""
    whole = "all sites: {before:bytes} before, {after:bytes} after"
    values: dict[str, Value] = {"before": held[0], "after": held[1]}
    if not chosen.rows:
        return say(f"no differences; {whole}", **values)
    noun = _noun(rows)
    parts = [
        f"{{changed:count {noun}}} changed: {{grown:growth}}, -{{shrunk:bytes}}",
        "{new:count} new, {gone:count} gone",
        whole,
    ]
    if len(rows) < chosen.rows:
        parts.insert(0, f"{{shown:count {noun}}} shown")
    if chosen.loose:
        parts.insert(-1, "{loose:count} matched loosely")
    values |= {"changed": chosen.rows, "grown": chosen.grown, "shrunk": chosen.shrunk}
    values |= {"new": chosen.new, "gone": chosen.gone, "loose": chosen.loose, "shown": len(rows)}
    return say("; ".join(parts), **values)
