# SPDX-License-Identifier: LGPL-2.1-or-later
"""Growth between two snapshots as JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from ...analysis.diff import Changes, Snapshot, Summary
from ..spreadsheet import csv_lines
from .json_text import Record, document
from .site import SITE_FIELDS, left_out_records, site_record

_NUMBERS = (
    "growth", "calls_growth", "before", "after", "calls_before", "calls_after", "state",
)  # fmt: skip
_COUNTS = ("sites_before", "sites_after")
OF_SITES = (*SITE_FIELDS, *_NUMBERS, "role", "match", "old_line", *_COUNTS)
OF_GROUPS = ("name", *_NUMBERS, *_COUNTS)


def records(rows: Changes) -> Iterator[Record]:
    """One record for each row."""
    new, gone = rows.new.tolist(), rows.gone.tolist()
    growth, calls = rows.growth.tolist(), rows.calls.tolist()
    roles = [] if rows.sites is None else rows.sites.role.tolist()
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
            **site_record(rows.sites.name(i)),
            **numbers,
            "role": str(roles[i]) or None,
            "match": str(rows.match[i]),
            "old_line": int(rows.old_line[i]),
            **counts,
        }


def as_json(before: Snapshot, after: Snapshot, rows: Changes, chosen: Summary) -> str:
    """One JSON document."""
    return document(
        "diff",
        2,
        before=_snapshot(before),
        after=_snapshot(after),
        changed=asdict(chosen),
        group_by=rows.by,
        rows=list(records(rows)),
    )


def _snapshot(one: Snapshot) -> Record:
    system, held = one.system, one.total
    return {
        "path": one.path,
        "kind": one.kind,
        "release": system.release if system else None,
        "version": system.version if system else None,
        "crash_time": system.crash_time.isoformat() if system and system.crash_time else None,
        "crash_reason": one.reason or None,
        "warnings": one.warnings,
        "sites": held.sites,
        "bytes": held.bytes,
        "left_out": left_out_records(held),
    }


def as_csv(rows: Changes) -> str:
    """A header line and one line for each row."""
    fields = OF_GROUPS if rows.sites is None else OF_SITES
    return "".join(csv_lines(records(rows), fields))
