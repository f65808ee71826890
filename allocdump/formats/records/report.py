# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report as JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict

from ...analysis.groups import Groups
from ...analysis.memory import MemoryTotal
from ...analysis.report import Report, ReportRows
from ...analysis.sums import Total
from ...kernel.tags.sites import Provenance
from ..saved import EVIDENCE, VERSION
from ..spreadsheet import csv_lines
from .groups import fields, group_record
from .json_text import Record, document
from .site import SITE_FIELDS, site_record, total_record

_NUMBERS = ("bytes", "calls", "average", "share")
OF_SITES = (
    *SITE_FIELDS, *_NUMBERS, "role", "evidence", "inaccurate", "unloaded", "inferred_name",
    "address",
)  # fmt: skip


def records(rows: ReportRows, whole: Total) -> Iterator[Record]:
    """One record for each site.

    What nothing in the dump tells is None: the calls of a site whose size is from the
    kernel log, both numbers of one whose counters are gone. Pages whose objects are counted at
    their sites have no share of the total, which they are not in.
    """
    averages = rows.average().tolist()
    sites = rows.sites
    roles = sites.role.tolist()
    for i in range(len(rows)):
        size, calls = int(rows.bytes[i]), int(rows.calls[i])
        numbers: Record = {
            "bytes": size,
            "calls": calls,
            "average": averages[i],
            "share": size / whole.bytes if whole.bytes > 0 else 0.0,
        }
        if sites.unloaded[i] and sites.evidence[i] != Provenance.COUNTER:
            numbers["calls"] = numbers["average"] = None
            if sites.evidence[i] == Provenance.NONE:
                numbers["bytes"] = numbers["share"] = None
        if roles[i].backing:
            numbers["share"] = None
        yield {
            **site_record(sites.name(i)),
            **numbers,
            "role": str(roles[i]) or None,
            "evidence": EVIDENCE[Provenance(sites.evidence[i])],
            "inaccurate": bool(sites.inaccurate[i]),
            "unloaded": bool(sites.unloaded[i]),
            "inferred_name": bool(sites.inferred[i]),
            "address": f"{int(sites.address[i]):#x}",
        }


def group_records(groups: Groups, whole: int) -> Iterator[Record]:
    """One record for each group.

    :param whole: bytes that it has its share of
    """
    for group in groups:
        size, calls = group.sums["bytes"], group.sums["calls"]
        yield {
            **group_record(groups, group),
            "bytes": size,
            "calls": calls,
            "average": size / calls if calls > 0 else 0.0,
            "share": size / whole if whole > 0 else 0.0,
            "sites": group.sites,
        }


def as_json(report: Report, rows: ReportRows, shown: Total, whole: Total) -> str:
    """The report of sites as one JSON document."""
    return _json(report, shown, whole, None, "site", records(rows, whole))


def groups_as_json(
    report: Report, groups: Groups, shown: Total, whole: Total, memory: MemoryTotal | None
) -> str:
    """The report of groups as one JSON document.

    :param memory: total by references, if groups are sums of these
    """
    by = ",".join(key.name for key in groups.keys)
    rows = group_records(groups, (memory or whole).bytes)
    return _json(report, shown, whole, memory, by, rows)


def _json(
    report: Report,
    shown: Total,
    whole: Total,
    memory: MemoryTotal | None,
    by: str,
    rows: Iterable[Record],
) -> str:
    origin, system, done = report.origin, report.origin.system, report.completeness
    return document(
        "report",
        VERSION,
        kernel={
            "release": system.release,
            "version": system.version,
            "machine": system.machine,
            "hostname": system.hostname,
            "crash_time": system.crash_time.isoformat() if system.crash_time else None,
            "crash_reason": origin.reason or None,
        },
        dump={
            "path": origin.core,
            "format": origin.format,
            "types": origin.types,
            "state": origin.state,
        },
        profiling={
            "state": origin.profiling.state,
            "compressed": origin.profiling.compressed,
        },
        code_tag_types=[vars(t) for t in report.types],
        completeness={
            "complete": done.complete,
            "sites_expected": done.expected,
            "sites_found": done.found,
            "sites_without_name": done.unnamed,
            "sites_without_counters": done.uncounted,
            "sites_moved": None if report.moved is None else int(report.moved.sum()),
        },
        warnings=report.warnings,
        total=total_record(whole),
        chosen=total_record(shown),
        memory=asdict(memory) if memory else None,
        group_by=by,
        rows=list(rows),
    )


def as_csv(rows: ReportRows, whole: Total) -> str:
    """A header line and one line per site."""
    return "".join(csv_lines(records(rows, whole), OF_SITES))


def groups_as_csv(groups: Groups, whole: Total, memory: MemoryTotal | None) -> str:
    """A header line and one line per group."""
    rows = group_records(groups, (memory or whole).bytes)
    return "".join(csv_lines(rows, (*fields(groups.keys), *_NUMBERS, "sites")))
