# SPDX-License-Identifier: LGPL-2.1-or-later
"""Growth between two snapshots as table, JSON and CSV.

The JSON is described in docs/json.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ..analysis.diff import Changes, Match, Snapshot, Summary
from ..analysis.report import BUILT_IN
from ..formats.spreadsheet import csv_lines
from . import units
from .header import machine
from .table import NAME_HEADINGS, Column, Style, lay_out

SITE_FIELDS = (
    "file", "line", "function", "module", "growth", "calls_growth", "before", "after",
    "calls_before", "calls_after", "state", "match", "old_line", "sites_before", "sites_after",
)  # fmt: skip
GROUP_FIELDS = (
    "name", "growth", "calls_growth", "before", "after", "calls_before", "calls_after", "state",
    "sites_before", "sites_after",
)  # fmt: skip


def describe(snapshot: Snapshot) -> str:
    """One line: the file, and what is known of its kernel."""
    what = machine(snapshot.system, snapshot.reason) if snapshot.system else "/proc/allocinfo"
    return f"{snapshot.path}: {what} | {units.plural(len(snapshot.sites), 'site')}"


def as_table(
    before: Snapshot,
    after: Snapshot,
    rows: Changes,
    chosen: Summary,
    *,
    exact: bool = False,
    width: int | None = None,
    style: Style = lambda text, **_: text,
) -> str:
    """The table below what was compared, and totals.

    :param chosen: of all rows that changed, of which *rows* may be the top
    :param width: columns available; None is as many as it takes
    :param style: like :func:`click.style`
    """
    out = [f"before  {describe(before)}", f"after   {describe(after)}", ""]
    if len(rows):
        out += [*lay_out(_columns(rows, exact), width, style), ""]
    out.append(totals(before, after, rows, chosen, exact))
    return "\n".join(out) + "\n"


def _columns(rows: Changes, exact: bool) -> list[Column]:
    def sizes(values: Any) -> list[str]:
        return [units.size(v, exact) for v in values.tolist()]

    known = rows.counted.tolist()
    calls = [units.more(n) if k else "-" for n, k in zip(rows.calls.tolist(), known, strict=True)]
    columns: list[Column] = [
        ("GROWTH", [units.growth(g, exact) for g in rows.growth.tolist()], "right"),
        ("CALLS", calls, "right"),
        ("BEFORE", sizes(rows.before), "right"),
        ("AFTER", sizes(rows.after), "right"),
        (NAME_HEADINGS[rows.by], list(rows.name), "left"),
    ]
    if rows.sites is not None:
        columns.append(("FUNCTION", list(rows.sites.function), "left"))
        columns.append(("MODULE", [m or BUILT_IN for m in rows.sites.module], "left"))
    remarks = notes(rows)
    if any(remarks):
        columns.append(("NOTE", remarks, "left"))
    return columns


def notes(rows: Changes) -> list[str]:
    """Notes on each row; often empty."""
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
        out.append(", ".join(words))
    return out


def totals(
    before: Snapshot, after: Snapshot, rows: Changes, chosen: Summary, exact: bool = False
) -> str:
    """One line that says how much changed."""

    def size(value: int) -> str:
        return units.size(value, exact)

    held = [int(snapshot.sites.bytes.sum()) for snapshot in (before, after)]
    whole = f"all sites: {size(held[0])} before, {size(held[1])} after"
    if not chosen.rows:
        return f"no differences; {whole}"
    noun = "site" if rows.by == "site" else "group"
    parts = [
        f"{units.plural(chosen.rows, noun)} changed: {units.growth(chosen.grown, exact)},"
        f" -{size(chosen.shrunk)}",
        f"{chosen.new:,} new, {chosen.gone:,} gone",
        whole,
    ]
    if len(rows) < chosen.rows:
        parts.insert(0, f"{units.plural(len(rows), noun)} shown")
    if chosen.loose:
        parts.insert(-1, f"{chosen.loose:,} matched loosely")
    return "; ".join(parts)


def records(rows: Changes) -> Iterator[dict[str, Any]]:
    """One dictionary per row; what is unknown is None."""
    new, gone = rows.new.tolist(), rows.gone.tolist()
    growth, calls = rows.growth.tolist(), rows.calls.tolist()
    for i in range(len(rows)):
        known = bool(rows.counted[i])
        numbers = {
            "growth": growth[i],
            "calls_growth": calls[i] if known else None,
            "before": int(rows.before[i]),
            "after": int(rows.after[i]),
            "calls_before": int(rows.calls_before[i]) if known else None,
            "calls_after": int(rows.calls_after[i]) if known else None,
            "state": "new" if new[i] else "gone" if gone[i] else None,
        }
        counts = {
            "sites_before": int(rows.count_before[i]), "sites_after": int(rows.count_after[i])
        }  # fmt: skip
        if rows.sites is None or rows.match is None or rows.old_line is None:
            yield {"name": rows.name[i], **numbers, **counts}
            continue
        yield {
            "file": rows.sites.file[i],
            "line": int(rows.sites.line[i]),
            "function": rows.sites.function[i],
            "module": rows.sites.module[i] or None,
            **numbers,
            "match": str(rows.match[i]),
            "old_line": int(rows.old_line[i]),
            **counts,
        }


def as_json(before: Snapshot, after: Snapshot, rows: Changes, chosen: Summary) -> str:
    """One JSON document; sizes in bytes."""

    def snapshot(one: Snapshot) -> dict[str, Any]:
        system = one.system
        return {
            "path": one.path,
            "kind": one.kind,
            "release": system.release if system else None,
            "version": system.version if system else None,
            "crash_time": system.crash_time.isoformat() if system and system.crash_time else None,
            "crash_reason": one.reason or None,
            "warnings": one.warnings,
            "sites": len(one.sites),
            "bytes": int(one.sites.bytes.sum()),
        }

    document = {
        "schema": "allocdump.diff",
        "version": 1,
        "before": snapshot(before),
        "after": snapshot(after),
        "changed": asdict(chosen),
        "group_by": rows.by,
        "rows": list(records(rows)),
    }
    return json.dumps(document, indent=1) + "\n"


def as_csv(rows: Changes) -> str:
    """A header line and one line per row."""
    fields = GROUP_FIELDS if rows.sites is None else SITE_FIELDS
    return "".join(csv_lines(records(rows), fields))
