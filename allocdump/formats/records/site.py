# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one form that a call site has in records."""

from __future__ import annotations

from dataclasses import asdict

from ...analysis.sums import Total
from ...kernel.tags.sites import SiteName
from .json_text import Record

SITE_FIELDS = ("file", "line", "function", "module")


def site_record(name: SiteName | None) -> Record:
    """The names of a site: ``module`` is None in the kernel itself, and all are of no site."""
    if name is None:
        return dict.fromkeys(SITE_FIELDS)
    return {**name._asdict(), "module": name.module or None}


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
