# SPDX-License-Identifier: LGPL-2.1-or-later
"""Records of sites, added up by function, file, directory or module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ...analysis.report import GroupBy, group_name
from ...kernel.tags.sites import kind_of
from .json_text import Record
from .site import ORIGIN_FIELDS

GROUP_FIELDS = ("sites", "name")
"""Fields of a group besides its sums."""


def grouped(records: Iterable[Record], by: GroupBy, sums: Sequence[str]) -> Iterator[Record]:
    """One record for each group, by its sums largest first.

    :param records: with the fields of a site; a site may have several
    :param sums: fields that can be added up
    """
    totals: dict[str, Record] = {}
    sites: dict[str, set[tuple[object, ...]]] = {}
    for record in records:
        name = _name(by, record)
        total = totals.setdefault(name, dict.fromkeys(sums, 0))
        for field in sums:
            total[field] += record[field]
        sites.setdefault(name, set()).add(tuple(record.get(field) for field in ORIGIN_FIELDS))
    for name in sorted(totals, key=lambda name: [-totals[name][field] for field in sums]):
        yield {**totals[name], "sites": len(sites[name]), "name": name}


def _name(by: GroupBy, record: Record) -> str:
    """The group of a record: without a call site, the function is the origin itself, and whatever
    else is the kind of origin, but for the module of a caller."""
    if record["file"] is not None:
        return group_name(by, record["file"], record["function"], record["module"] or "")
    if by == "module" and record["module"]:
        return str(record["module"])
    if by == "function" and record["name"]:
        return str(record["name"])
    return f"({kind_of(record['origin']) or 'no site'})"
