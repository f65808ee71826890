# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump paths``"""

from __future__ import annotations

from .words import (
    ADDRESS,
    COUNT,
    FLAG,
    ORIGIN,
    TEXT,
    document,
    many,
    one_of,
    or_null,
    record,
)

_STEP = record(
    {
        "what": TEXT,
        "address": or_null(ADDRESS),
        "bytes": or_null(COUNT),
        "site": or_null(record(ORIGIN)),
        "cache": or_null(TEXT),
        "pointer": or_null(ADDRESS),
        "offset": or_null(COUNT),
        "cpu": or_null(COUNT),
        "member": or_null(TEXT),
        "left_out": COUNT,
    }
)

SCHEMA = document(
    "paths",
    2,
    {
        "query": TEXT,
        "address": ADDRESS,
        "state": or_null(one_of("held", "lost", "undecided")),
        "paths": many(record({"steps": many(_STEP), "pointers": COUNT, "from_lost": FLAG})),
    },
)
