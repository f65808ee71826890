# SPDX-License-Identifier: LGPL-2.1-or-later
"""Columns of a call site, and of what sites are added up by; remarks on sites."""

from __future__ import annotations

from ..analysis.site_groups import GroupBy
from ..analysis.sums import Total
from ..kernel.tags.roles import Role
from ..kernel.tags.sites import UNKNOWN, Provenance, SiteName, Sites
from ..sentence import Value, say
from .model import Absent, Cell, Column, ColumnKind, Line

_MIN = 12

PLACE = Column("site", "path", names=True, priority=0, min_width=_MIN)
FUNCTION = Column("function", "code", names=True, priority=0, min_width=_MIN)
MODULE = Column("module", "module", priority=2)
SITE = (PLACE, FUNCTION, MODULE)
ELSEWHERE = Absent("counted at the sites of its objects")
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
    out, roles = [], sites.role.tolist()
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
        if roles[i].backing:
            words.append(elsewhere(roles[i]))
        out.append(", ".join(words))
    return out


def elsewhere(role: Role) -> str:
    """Remark on pages that sums and ranks leave out."""
    return f"{role}: the objects in them are counted at their sites"


def beside(whole: Total) -> list[Line]:
    """A sentence on the memory that a sum leaves out; none if that is nothing."""
    parts = [one for one in whole.left_out if one.bytes]
    if not parts:
        return []
    values: dict[str, Value] = {}
    for i, one in enumerate(parts):
        values |= {f"size{i}": one.bytes, f"role{i}": str(one.role)}
    names = " and ".join(f"{{size{i}:bytes}} of {{role{i}}}" for i in range(len(parts)))
    return [say(f"sums count objects, not the {names} that they are in", **values)]
