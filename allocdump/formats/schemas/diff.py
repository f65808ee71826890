# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump diff``"""

from __future__ import annotations

from .report import GROUP_BY, LEFT_OUT, ROLE, by_site_or_group
from .words import COUNT, SIGNED, SITE, TEXT, TIME, document, many, one_of, or_null, record

_NUMBERS = {
    "growth": SIGNED,
    "calls_growth": or_null(SIGNED),
    "before": SIGNED,
    "after": SIGNED,
    "calls_before": or_null(SIGNED),
    "calls_after": or_null(SIGNED),
    "state": or_null(one_of("new", "gone")),
}
_COUNTS = {"sites_before": COUNT, "sites_after": COUNT}

_SNAPSHOT = record(
    {
        "path": TEXT,
        "kind": one_of("dump", "allocinfo", "report"),
        "release": or_null(TEXT),
        "version": or_null(TEXT),
        "crash_time": or_null(TIME),
        "crash_reason": or_null(TEXT),
        "warnings": many(TEXT),
        "sites": COUNT,
        "bytes": SIGNED,
        "left_out": LEFT_OUT,
    }
)

OF_SITE = record(
    {
        **SITE,
        **_NUMBERS,
        "role": ROLE,
        "match": one_of("exact", "moved", "together"),
        "old_line": COUNT,
        **_COUNTS,
    }
)
OF_GROUP = record({"name": TEXT, **_NUMBERS, **_COUNTS})

SCHEMA = document(
    "diff",
    2,
    {
        "before": _SNAPSHOT,
        "after": _SNAPSHOT,
        "changed": record(
            {
                "rows": COUNT,
                "grown": COUNT,
                "shrunk": COUNT,
                "new": COUNT,
                "gone": COUNT,
                "loose": COUNT,
            }
        ),
        "group_by": GROUP_BY,
        "rows": many({}),
    },
) | by_site_or_group(OF_SITE, OF_GROUP)
