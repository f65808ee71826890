# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holders and what they hold as documents."""

from __future__ import annotations

from collections.abc import Iterable

from ..analysis.report import Report
from .header import about
from .listing import SITE, RowValues, column, name_of, table
from .model import Document, Section, Table, Tree

_LEVELS = (
    column("retained", "bytes", priority=0),
    column("allocations", "count"),
    column("holder", title="Tree", priority=0, cut=True),
)
_HOLDERS = (
    column("bytes", "bytes", priority=0),
    column("allocations", "count", priority=2),
    *SITE,
    column("holder", priority=0, cut=True),
)


def levels(report: Report, problems: list[str], records: Iterable[RowValues]) -> Document:
    """A tree: holders, and the sites of what they hold."""
    found = list(records)
    rows = [[r["retained"], r["allocations"], r["holder"] or _label(r)] for r in found]
    tree = Tree(_LEVELS, rows, levels=[r["level"] for r in found], indent=". ")
    return _document(report, problems, "Holders and what they hold", tree)


def _label(record: RowValues) -> str:
    return name_of(record).label


def holders(report: Report, problems: list[str], records: Iterable[RowValues]) -> Document:
    """One row for each pair of site and holder."""
    return _document(report, problems, "Holders of call sites", table(_HOLDERS, records))


def _document(report: Report, problems: list[str], heading: str, rows: Table) -> Document:
    out = about(report, "Retained memory", problems)
    out.sections = [Section(heading, [rows])]
    return out
