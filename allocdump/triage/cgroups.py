# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory cgroups as a table."""

from __future__ import annotations

from collections.abc import Iterable

from ..kernel.machine.cgroups import MemoryCgroup
from .verdict import Column, Table


def cgroup_table(
    key: str, title: str, cgroups: Iterable[MemoryCgroup], top: int | None, least: float = 0
) -> Table:
    """One row for each of *cgroups*."""
    columns = [
        Column("usage", "bytes"),
        Column("max", "bytes", "LIMIT"),
        Column("high", "bytes", detail=True),
        Column("swap", "bytes"),
        Column("swap_max", "bytes", detail=True),
        Column("hits", "count"),
        Column("oom", "count"),
        Column("oom_kill", "count", "KILLS"),
        Column("path", title="CGROUP"),
    ]
    rows = ([getattr(group, column.key) for column in columns] for group in cgroups)
    return Table(key, title, columns).fill(rows, top, least)
