# SPDX-License-Identifier: LGPL-2.1-or-later
"""A report that was saved as JSON, read back.

The format is described in docs/report-json.md and written by ``records/report.py``.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..kernel.machine.system import System
from ..kernel.tags.sites import Provenance, Site, Sites, fits
from ..text import printable

SCHEMA = "allocdump.report"
VERSION = 2
_READ = (1, VERSION)
EVIDENCE = {
    Provenance.COUNTER: "counter",
    Provenance.KERNEL_LOG: "kernel-log",
    Provenance.NONE: "none",
}
_BY_NAME = {name: evidence for evidence, name in EVIDENCE.items()}


class NotAReportError(ValueError):
    """The file holds something else; the message ends a sentence that starts with its name."""


@dataclass
class SavedReport:
    """Contents of a saved report."""

    sites: Sites
    system: System
    reason: str
    """Reason of the kernel's death; empty if it did not die, or its log does not say."""
    total: int | None
    """Number of sites of the kernel; the report may have only some of them."""
    held: int | None
    """Bytes of all sites of the kernel, each as it counts them."""
    unreadable: int
    """Rows that are not records."""
    warnings: list[str]


def parse_report(text: bytes) -> SavedReport:
    """Read what ``allocdump report --format json`` wrote.

    :raises NotAReportError: if it is something else, damaged, or no report by site
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise NotAReportError("is not whole JSON; save the report again") from None
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        what = _text(schema) if isinstance(schema, str) else "JSON of something else"
        raise NotAReportError(
            f"holds {what}, not a report; save one with allocdump report --format json --all"
        )
    if document.get("version") not in _READ:
        raise NotAReportError(
            f"is a report in version {_text(document.get('version'))} of its format, and this"
            f" allocdump reads versions {' and '.join(map(str, _READ))}; use the allocdump that"
            " saved it, or a newer one"
        )
    by, rows = document.get("group_by"), document.get("rows")
    if by != "site":
        raise NotAReportError(f"is a report by {_text(by)}; save one by site, without --group-by")
    if not isinstance(rows, list):
        raise NotAReportError("is a damaged report: it has no rows; save it again")
    sites = [site for row in rows if (site := _site(row))]
    if rows and not sites:
        raise NotAReportError("is a damaged report: none of its rows is a site; save it again")
    total = _object(document.get("total"))
    kernel = _object(document.get("kernel"))
    warnings = document.get("warnings")
    return SavedReport(
        sites=Sites.of(sites),
        system=_system(kernel),
        reason=_text(kernel.get("crash_reason")),
        total=_count(total.get("sites")),
        held=_held(total),
        unreadable=len(rows) - len(sites),
        warnings=[_text(w) for w in warnings] if isinstance(warnings, list) else [],
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return "" if value is None else printable(str(value).encode(errors="backslashreplace"))


def _count(value: Any) -> int | None:
    return value if type(value) is int else None


def _held(total: dict[str, Any]) -> int | None:
    """The sum over all sites, with those that version 2 leaves out of it."""
    left_out = total.get("left_out", [])
    parts = [total, *map(_object, left_out if isinstance(left_out, list) else [None])]
    sizes = [_count(part.get("bytes")) for part in parts]
    return None if None in sizes else sum(filter(None, sizes))


def _site(row: Any) -> Site | None:
    row = _object(row)
    file, function, module = (row.get(name) for name in ("file", "function", "module"))
    line, evidence = row.get("line"), _BY_NAME.get(str(row.get("evidence")))
    # Null is what nothing in the dump told; the evidence says so, too.
    size, calls = (0 if row.get(n, "") is None else row.get(n) for n in ("bytes", "calls"))
    if not (isinstance(file, str) and isinstance(function, str) and evidence is not None):
        return None
    if not all(type(n) is int for n in (line, size, calls)):
        return None
    if not fits(line=line, bytes=size, calls=calls):
        return None
    return Site(
        file=_text(file),
        line=line,
        function=_text(function),
        module=_text(module),
        bytes=size,
        calls=calls,
        inaccurate=row.get("inaccurate") is True,
        unloaded=row.get("unloaded") is True,
        inferred=row.get("inferred_name") is True,
        evidence=evidence,
    )


def _system(kernel: dict[str, Any]) -> System:
    time = None
    with suppress(ValueError, OverflowError):
        told = datetime.fromisoformat(_text(kernel.get("crash_time")))
        time = told.astimezone(UTC) if told.tzinfo else None
    names = {n: _text(kernel.get(n)) for n in ("release", "version", "machine", "hostname")}
    return System(**names, crash_time=time)
