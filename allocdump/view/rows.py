# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rows of named values as table, CSV or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tabulate import tabulate

from ..formats.spreadsheet import csv_lines
from ..kernel.tags.sites import Sites
from . import units

Row = dict[str, Any]

_SIZES = {"bytes", "used", "lost", "size", "held", "cluster", "retained", "undecided"}


def site_fields(sites: Sites, row: int) -> Row:
    """Place of a site; empty texts for a negative row, which stands for no site."""
    if row < 0:
        return {"site": "", "function": "", "module": ""}
    return {
        "site": f"{sites.file[row]}:{sites.line[row]}",
        "function": sites.function[row],
        "module": sites.module[row],
    }


def render(rows: Iterable[Row], fields: Sequence[str], format_: str, exact: bool) -> Iterator[str]:
    """Text of *rows*, a row at a time but for tables.

    :param format_: ``table``, ``csv``, or ``json``: one object per line
    """
    if format_ == "json":
        yield from (json.dumps(row) + "\n" for row in rows)
    elif format_ == "csv":
        yield from csv_lines(rows, fields)
    else:
        yield _table(list(rows), fields, exact)


def _table(rows: list[Row], fields: Sequence[str], exact: bool) -> str:
    shown = [f for f in fields if any(row.get(f) not in (None, "", 0) for row in rows)]
    body = [[f.upper().replace("_", " ") for f in shown]]
    body += [[_cell(f, row.get(f), exact) for f in shown] for row in rows]
    numeric = [
        all(isinstance(r.get(f), int) and not isinstance(r.get(f), bool) for r in rows)
        for f in shown
    ]
    align = ["right" if n else "left" for n in numeric]
    text = tabulate(
        body, tablefmt="plain", disable_numparse=True, colalign=align if shown else None
    )
    return "".join(line.rstrip() + "\n" for line in text.splitlines()) if shown else ""


def _cell(field: str, value: Any, exact: bool) -> str:
    if value is None:
        return "-"
    if field in _SIZES:
        return units.size(value, exact)
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int) and field not in ("pfn", "node", "order"):
        return units.count(value)
    return str(value)
