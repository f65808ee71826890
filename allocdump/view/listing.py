# SPDX-License-Identifier: LGPL-2.1-or-later
"""Records as a table: for commands that list things."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..analysis.keys import SITE as KEY_OF_SITES
from ..analysis.keys import Key
from ..kernel.tags.sites import OriginKind, SiteName, kind_of
from .model import NOT_APPLICABLE, UNKNOWN, Cell, Column, ColumnKind, Document, Section, Table
from .site import FUNCTION, PLACE

RowValues = Mapping[str, Any]
"""Of a command's JSON: names and exact values; None is what nothing tells."""


def column(
    key: str, kind: ColumnKind = "text", title: str = "", *, priority: int = 1, cut: bool = False
) -> Column:
    """A column that is left out where it would be empty.

    :param cut: whether its cells may be cut where space is short
    """
    least = 12 if cut else None
    return Column(key, kind, title, keep="if not zero", priority=priority, min_width=least)


SITE = (
    replace(PLACE, keep="if not zero"),
    replace(FUNCTION, keep="if not zero"),
    column("module", "code", priority=2),
    column("origin", priority=2),
)
"""Columns of a call site or another origin; the kernel itself has no module here."""


def key_columns(keys: Sequence[Key]) -> list[Column]:
    """Columns that say what a group is."""
    out: list[Column] = []
    for key in keys:
        if key is KEY_OF_SITES:
            out += SITE
        else:
            out.append(Column(key.name, key.kind, names=True, priority=0, min_width=12))
    return out


def group_columns(
    columns: Sequence[Column], sums: Sequence[str], keys: Sequence[Key]
) -> list[Column]:
    """Columns of allocations that were added up.

    :param columns: of the sites
    :param sums: keys of those that can be added up
    """
    added = [c for c in columns if c.key in sums]
    sites = [] if KEY_OF_SITES in keys else [column("sites", "count", priority=2)]
    return [*added, *sites, *key_columns(keys)]


def by(keys: Sequence[Key]) -> str:
    """``cgroup and node``"""
    *most, last = (key.name for key in keys)
    return f"{', '.join(most)} and {last}" if most else last


def listing(columns: Sequence[Column], records: Iterable[RowValues], title: str) -> Document:
    """A table and nothing else."""
    return Document(title, sections=[Section(title, [table(columns, records)])])


def table(columns: Sequence[Column], records: Iterable[RowValues]) -> Table:
    """A row for each record, with the values of the columns' keys."""
    return Table(columns, [[_cell(record, c.key) for c in columns] for record in records])


def values_of(site: SiteName) -> RowValues:
    """The fields of a call site or other origin that :data:`SITE` shows."""
    return {
        "file": site.file if site.is_site else None,
        "line": site.line,
        "function": site.function,
        "module": site.module,
        "origin": site.origin.name.lower(),
        "name": site.file,
    }


def name_of(record: RowValues) -> SiteName:
    """The name of the call site or other origin that a record has."""
    origin = OriginKind[record["origin"].upper()]
    if origin != OriginKind.SITE:
        return SiteName(record["name"], 0, "", record["module"] or "", origin)
    return SiteName(record["file"], record["line"], record["function"], record["module"] or "")


def _cell(record: RowValues, key: str) -> Cell:
    if key == "site":
        where = f"{record['file']}:{record['line']}" if record["file"] is not None else None
        return where or record.get("name") or NOT_APPLICABLE
    if key in ("function", "module", "node", "zone", "order") and not record[key]:
        return NOT_APPLICABLE if record[key] in (None, "") else record[key]
    if key == "origin":
        return kind_of(record.get("origin")) or NOT_APPLICABLE
    value: Cell | None = record[key]
    if value is False:
        return NOT_APPLICABLE
    return UNKNOWN if value is None else value
