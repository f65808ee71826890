# SPDX-License-Identifier: LGPL-2.1-or-later
"""Records of sites, added up by function, file, directory or module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ...analysis.report import GroupBy, group_name
from .json_text import Record
from .site import SITE_FIELDS

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
        name = group_name(by, record["file"], record["function"], record["module"] or "")
        total = totals.setdefault(name, dict.fromkeys(sums, 0))
        for field in sums:
            total[field] += record[field]
        sites.setdefault(name, set()).add(tuple(record[field] for field in SITE_FIELDS))
    for name in sorted(totals, key=lambda name: [-totals[name][field] for field in sums]):
        yield {**totals[name], "sites": len(sites[name]), "name": name}
