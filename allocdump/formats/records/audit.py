# SPDX-License-Identifier: LGPL-2.1-or-later
"""The audit as one JSON document."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ...analysis.audit import Audit
from ...analysis.report import Report
from ..spreadsheet import csv_lines
from .json_text import Record, document
from .site import SITE_FIELDS, site_record

_BYTES = ("counter", "pages", "inferred", "objects", "percpu", "difference")


def as_json(
    report: Report, audit: Audit, rows: npt.NDArray[np.intp], strays: dict[int, str]
) -> str:
    """The given rows, and references to no known tag.

    :param strays: description of the tag at each stray reference's address, if it is one
    """
    sites = report.sites
    return document(
        "audit",
        1,
        state=report.origin.state,
        sites=len(sites),
        agree=int(np.count_nonzero(audit.difference == 0)),
        matched=audit.matched(),
        percpu_accounting=audit.accounting and str(audit.accounting),
        strays=[
            {"address": f"{a:#x}", "references": n, "bytes": size, "tag": strays.get(a)}
            for a, (n, size) in sorted(audit.strays.items())
        ],
        rows=list(_records(report, audit, rows)),
    )


def as_csv(report: Report, audit: Audit, rows: npt.NDArray[np.intp]) -> Iterator[str]:
    """The given rows."""
    fields = (*SITE_FIELDS, *_BYTES, "counter_calls", "reference_calls", "cause")
    return csv_lines(_records(report, audit, rows), fields)


def _records(report: Report, audit: Audit, rows: npt.NDArray[np.intp]) -> Iterator[Record]:
    sites = report.sites
    for i in rows.tolist():
        yield {
            **site_record(sites.name(i)),
            **{name: int(getattr(audit, name)[i]) for name in _BYTES},
            "counter_calls": int(sites.calls[i]),
            "reference_calls": int(audit.calls[i]),
            "cause": str(audit.cause[i]) or None,
        }
