# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lost memory as documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..analysis.keys import Key
from ..analysis.report import Report
from ..sentence import Sentence, say
from .header import about
from .listing import SITE, RowValues, by, column, group_columns, table
from .model import Document, Section, Table
from .wrappers import wrappers

if TYPE_CHECKING:
    from ..analysis.leaks import Leaks

_SUMS = (
    column("lost", "bytes", priority=0),
    column("undecided", "bytes", priority=0),
    column("allocations", "count"),
    column("held", "bytes"),
    column("held_allocations", "count", priority=3),
    column("share", "share", priority=2),
    column("heads", "count", priority=3),
    column("cluster", "bytes", priority=2),
    column("confidence", "confidence", priority=0),
    *SITE,
    replace(column("reason"), footnote=True),
)
_EACH = (
    column("address", "code", priority=0),
    column("bytes", "bytes", priority=0),
    column("kind", priority=2),
    column("head", "code", priority=2),
    *SITE,
)


def sums(
    report: Report, found: Leaks, undecided: Sequence[RowValues], records: Iterable[RowValues]
) -> Document:
    """One row for each site that lost memory.

    :param undecided: sites without a row, of which one line tells
    """
    heading = "Lost memory by call site"
    shown = list(records)
    rows = table(_SUMS, shown)
    out = _document(report, found, heading, rows)
    out.summary = [*out.summary, *wrappers(shown)]
    if undecided:
        out.summary = [_undecided(undecided), *out.summary]
        if not rows.rows:
            out.sections = []
    return out


def _undecided(records: Sequence[RowValues]) -> Sentence:
    return say(
        "{sites:count site} with undecided memory, {size:bytes}: no one can tell if it is lost,"
        " for what may point at it is not readable, or not known; --all lists the sites",
        sites=len(records),
        size=sum(record["undecided"] for record in records),
    )


def each(report: Report, found: Leaks, records: Iterable[RowValues]) -> Document:
    """One row for each lost allocation."""
    return _document(report, found, "Lost allocations", table(_EACH, records))


def groups(
    report: Report,
    found: Leaks,
    sums: Sequence[str],
    keys: Sequence[Key],
    records: Iterable[RowValues],
) -> Document:
    """One row for each group."""
    rows = table(group_columns(_SUMS, sums, keys), records)
    return _document(report, found, f"Lost memory by {by(keys)}", rows)


def _document(report: Report, found: Leaks, heading: str, rows: Table) -> Document:
    out = about(report, "Leaks", (f"{reason}." for reason in found.reasons))
    out.sections = [Section(heading, [rows])]
    out.summary = [_total(found)]
    return out


def _total(found: Leaks) -> Sentence:
    lost = found.undecided if found.reasons else found.decided
    size = int(lost.bytes.sum())
    more, values = "", {}
    if not found.reasons and len(found.undecided):
        more = "; {more:bytes} in {others:count} more undecided"
        values = {
            "more": int(found.undecided.bytes.sum()),
            "others": int(found.undecided.allocations.sum()),
        }
    return say(
        "{size:bytes} in {n:count allocation} {word}, {share:share} of the {whole:bytes}"
        " in {every:count allocation} that were judged" + more,
        size=size,
        n=int(lost.allocations.sum()),
        word="undecided" if found.reasons else "lost",
        share=size / found.total_bytes if found.total_bytes else None,
        whole=found.total_bytes,
        every=found.total_allocations,
        **values,
    )
