# SPDX-License-Identifier: LGPL-2.1-or-later
"""The audit as a table and as JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
from tabulate import tabulate

from ..analysis.audit import Audit
from ..analysis.report import BUILT_IN, Report
from . import units
from .header import header

_COLUMNS = ("counter", "pages", "inferred", "objects", "percpu", "difference")


def as_table(
    report: Report,
    audit: Audit,
    rows: npt.NDArray[np.intp],
    strays: dict[int, str],
    exact: bool,
) -> str:
    """The given rows, references to no known tag, and a summary.

    :param strays: what each stray reference points at, by its address
    """
    sites = report.sites
    headings = ["SITE", "FUNCTION", "MODULE", *map(str.upper, _COLUMNS), "CAUSE"]
    body = [headings]
    for i in rows.tolist():
        numbers = [int(getattr(audit, column)[i]) for column in _COLUMNS]
        body.append(
            [
                f"{sites.file[i]}:{sites.line[i]}",
                sites.function[i],
                sites.module[i] or BUILT_IN,
                *(units.size(n, exact) if n else "-" for n in numbers),
                str(audit.cause[i]) or ("agrees, order inferred" if audit.inferred[i] else ""),
            ]
        )
    alignment = ["left"] * 3 + ["right"] * len(_COLUMNS) + ["left"]
    out = [header(report), ""]
    if len(rows):
        table = tabulate(body, tablefmt="plain", disable_numparse=True, colalign=alignment)
        out += [*(line.rstrip() for line in table.splitlines()), ""]
    for address, (count, size) in sorted(audit.strays.items()):
        what = strays.get(address, "no tag can be told there")
        out.append(
            f"{count:,} references ({units.size(size, exact)}) to {address:#x},"
            f" in no known range of tags: {what}"
        )
    agree = int(np.count_nonzero(audit.difference == 0))
    out.append(
        f"{agree:,} of {units.plural(len(sites), 'site')} agree to the byte;"
        f" references account for {100 * audit.matched():.4g}% of counted bytes"
        f" ({units.size(int(audit.inferred.sum()), exact)} of them by inferred orders);"
        f" per-CPU memory is counted as {audit.accounting}"
    )
    return "\n".join(out) + "\n"


def as_json(
    report: Report, audit: Audit, rows: npt.NDArray[np.intp], strays: dict[int, str]
) -> str:
    """One JSON document; sizes in bytes."""
    sites = report.sites

    def row(i: int) -> dict[str, Any]:
        return {
            "file": sites.file[i],
            "line": int(sites.line[i]),
            "function": sites.function[i],
            "module": sites.module[i] or None,
            **{column: int(getattr(audit, column)[i]) for column in _COLUMNS},
            "counter_calls": int(sites.calls[i]),
            "reference_calls": int(audit.calls[i]),
            "cause": str(audit.cause[i]) or None,
        }

    document = {
        "schema": "allocdump.audit",
        "version": 1,
        "state": report.origin.state,
        "sites": len(sites),
        "agree": int(np.count_nonzero(audit.difference == 0)),
        "matched": audit.matched(),
        "percpu_accounting": str(audit.accounting),
        "strays": [
            {"address": f"{a:#x}", "references": n, "bytes": size, "tag": strays.get(a)}
            for a, (n, size) in sorted(audit.strays.items())
        ],
        "rows": [row(i) for i in rows.tolist()],
    }
    return json.dumps(document, indent=1) + "\n"
