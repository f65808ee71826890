# SPDX-License-Identifier: LGPL-2.1-or-later
"""The audit as a document."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..analysis.audit import Audit
from ..analysis.report import Report
from ..sentence import Sentence, say
from .header import about
from .model import Cell, Column, Document, Section, Table
from .site import SITE, site_cells

_BYTES = {"counter": 0, "pages": 2, "inferred": 3, "objects": 2, "percpu": 3, "difference": 0}
"""Columns, and their ranks of use."""


def document(
    report: Report,
    audit: Audit,
    rows: npt.NDArray[np.intp],
    strays: dict[int, str],
    problems: list[str],
) -> Document:
    """The given rows, references to no known tag, and a summary.

    :param strays: description of the tag at each stray reference's address, if it is one
    :param problems: sentences on how memory was read, besides the report's warnings
    """
    out = about(report, "Audit", problems)
    if len(rows):
        out.sections = [Section("Counters against memory", [_table(report, audit, rows)])]
    out.summary = [*_strays(audit, strays), _sums(report, audit)]
    return out


def _table(report: Report, audit: Audit, rows: npt.NDArray[np.intp]) -> Table:
    def cells(i: int) -> list[Cell]:
        agrees = "agrees, order inferred" if audit.inferred[i] else ""
        return [
            *site_cells(report.sites.name(i)),
            *(int(getattr(audit, name)[i]) for name in _BYTES),
            str(audit.cause[i]) or agrees,
        ]

    columns = [
        *SITE,
        *(Column(key, "bytes", zero="-", priority=rank) for key, rank in _BYTES.items()),
        Column("cause", keep="if said", footnote=True),
    ]
    return Table(columns, [cells(i) for i in rows.tolist()], noun="site", total="difference")


def _strays(audit: Audit, strays: dict[int, str]) -> Iterator[Sentence]:
    for address, (count, size) in sorted(audit.strays.items()):
        yield say(
            "{n:count} references ({size:bytes}) to {address}, in no known range of tags: {what}",
            n=count,
            size=size,
            address=f"{address:#x}",
            what=strays.get(address, "no tag can be told there"),
        )


def _sums(report: Report, audit: Audit) -> Sentence:
    accounting = (
        "nothing tells how per-CPU memory is counted"
        if audit.accounting is None
        else f"per-CPU memory is counted as {audit.accounting}"
    )
    return say(
        "{agree:count} of {sites:count site} agree to the byte; references account for"
        " {matched}% of counted bytes ({inferred:bytes} of them by inferred orders);"
        " {accounting}",
        agree=int(np.count_nonzero(audit.difference == 0)),
        sites=len(report.sites),
        matched=f"{100 * audit.matched():.4g}",
        inferred=int(audit.inferred.sum()),
        accounting=accounting,
    )
