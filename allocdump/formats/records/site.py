# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one form that a call site, or another origin, has in records."""

from __future__ import annotations

from dataclasses import asdict

from ...analysis.sums import Total
from ...kernel.tags.sites import SiteName
from .json_text import Record

SITE_FIELDS = ("file", "line", "function", "module")
ORIGIN_FIELDS = (*SITE_FIELDS, "origin", "name")


def site_record(name: SiteName) -> Record:
    """The names of a site: ``module`` is None in the kernel itself."""
    return {field: getattr(name, field) for field in SITE_FIELDS} | {"module": name.module or None}


def origin_record(name: SiteName | None) -> Record:
    """The names of a site, or the kind and name of another origin; all are None of neither."""
    if name is None:
        return dict.fromkeys(ORIGIN_FIELDS)
    kind = name.origin.name.lower()
    if name.is_site:
        return {**site_record(name), "origin": kind, "name": None}
    module = name.module or None
    return {**dict.fromkeys(SITE_FIELDS), "module": module, "origin": kind, "name": name.file}


def left_out_records(total: Total) -> list[Record]:
    """Pages that a sum leaves out, since the objects in them are counted at their sites."""
    return [asdict(one) for one in total.left_out]


def total_record(total: Total) -> Record:
    """A sum over sites, and the pages that are not in it."""
    return {
        "bytes": total.bytes,
        "calls": total.calls,
        "sites": total.sites,
        "left_out": left_out_records(total),
    }
