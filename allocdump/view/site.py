# SPDX-License-Identifier: LGPL-2.1-or-later
"""Columns of a call site, and of what sites are added up by; remarks on sites."""

from __future__ import annotations

from ..analysis.report import GroupBy
from ..kernel.tags.sites import UNKNOWN, Provenance, SiteName, Sites
from .model import Cell, Column, ColumnKind

_MIN = 12

PLACE = Column("site", "path", names=True, priority=0, min_width=_MIN)
FUNCTION = Column("function", "code", names=True, priority=0, min_width=_MIN)
MODULE = Column("module", "module", priority=2)
SITE = (PLACE, FUNCTION, MODULE)
NOTE = Column("note", keep="if said", footnote=True)


def site_cells(name: SiteName) -> list[Cell]:
    """Cells of the columns :data:`SITE`."""
    return [name.place, name.function, name.module]


def name_columns(by: GroupBy) -> list[Column]:
    """Columns that say what a row is: a site, or a group."""
    if by == "site":
        return list(SITE)
    paths = ("file", "directory")
    kind: ColumnKind = "path" if by in paths else "code"
    return [Column(by, kind, names=True, priority=0, min_width=_MIN)]


def notes(sites: Sites) -> list[str]:
    """Remarks on each site; mostly empty."""
    out = []
    for i in range(len(sites)):
        words = []
        if sites.unloaded[i]:
            words.append("module unloaded")
        if sites.inferred[i]:
            words.append("name inferred" if sites.module[i] != UNKNOWN else "name lost")
        if sites.evidence[i] == Provenance.KERNEL_LOG:
            words.append("size from kernel log")
        elif sites.evidence[i] == Provenance.NONE:
            words.append("size unknown" if sites.unloaded[i] else "counters incomplete")
        if sites.inaccurate[i]:
            words.append("inaccurate")
        out.append(", ".join(words))
    return out
