# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rounds of watching as a table for a terminal and as JSON, one line per round.

The JSON is described in docs/json.md.
"""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import numpy.typing as npt
from tabulate import tabulate

from ..analysis.growth import Growth
from ..analysis.report import BUILT_IN, Origin, site_names
from ..kernel.tags.sites import UNKNOWN
from . import units
from .table import Column, fit, notes

SCHEMA = "allocdump.watch"
VERSION = 1

Rows = npt.NDArray[np.intp]


def as_lines(
    origin: Origin, growth: Growth, rows: Rows, width: int, *, exact: bool = False
) -> list[str]:
    """Lines no longer than *width*.

    :param rows: what to show of the growth
    """
    sites = growth.sites.take(rows)
    host = origin.system.hostname
    machine = host if host and host != "(none)" else origin.core
    minutes, seconds = divmod(int(growth.elapsed), 60)
    head = [
        f"Linux {origin.system.release or UNKNOWN} | {minutes}:{seconds:02} since the start"
        f" | {units.plural(len(growth.sites), 'site')} | {machine}",
        f"{_signed(growth.total_bytes, exact)} in {growth.total_calls:+,} allocations;"
        f" {units.size(int(growth.sites.bytes.sum()), exact)} now",
        "",
    ]
    columns: list[Column] = [
        ("GROWTH", [_signed(n, exact) for n in growth.bytes[rows].tolist()], "right"),
        ("LAST", [_signed(n, exact) if n else "-" for n in growth.last[rows].tolist()], "right"),
        ("CALLS", [f"{n:+,}" for n in growth.calls[rows].tolist()], "right"),
        ("SIZE", [units.size(n, exact) for n in sites.bytes.tolist()], "right"),
        ("SITE", list(site_names(sites)), "left"),
        ("FUNCTION", list(sites.function), "left"),
        ("MODULE", [m or BUILT_IN for m in sites.module], "left"),
    ]
    remarks = notes(sites)
    if any(remarks):
        columns.append(("NOTE", remarks, "left"))
    fit(columns, width)
    if not len(rows):
        return [line[:width] for line in [*head, "No site has grown."]]
    table = tabulate(
        list(zip(*([c[0], *c[1]] for c in columns), strict=True)),
        tablefmt="plain",
        disable_numparse=True,
        colalign=[c[2] for c in columns],
    )
    return [line.rstrip()[:width] for line in [*head, *table.splitlines()]]


def _signed(size: int, exact: bool) -> str:
    return f"{'+' if size > 0 else ''}{units.size(size, exact)}"


def as_json(growth: Growth, rows: Rows, time: datetime) -> str:
    """One line; sizes in bytes."""
    sites = growth.sites
    names = site_names(sites.take(rows))
    document = {
        "schema": SCHEMA,
        "version": VERSION,
        "round": growth.round,
        "time": time.isoformat(),
        "elapsed": round(growth.elapsed, 3),
        "sites": len(sites),
        "total": {
            "bytes": int(sites.bytes.sum()),
            "calls": int(sites.calls.sum().view(np.int64)),
            "growth_bytes": growth.total_bytes,
            "growth_calls": growth.total_calls,
        },
        "rows": [
            {
                "site": name,
                "file": sites.file[i],
                "line": int(sites.line[i]),
                "function": sites.function[i],
                "module": sites.module[i] or None,
                "unloaded": bool(sites.unloaded[i]),
                "bytes": int(sites.bytes[i]),
                "calls": int(sites.calls[i]),
                "growth_bytes": int(growth.bytes[i]),
                "growth_calls": int(growth.calls[i]),
                "last_growth_bytes": int(growth.last[i]),
            }
            for i, name in zip(rows.tolist(), names, strict=True)
        ],
    }
    return json.dumps(document) + "\n"
