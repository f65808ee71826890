# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump objects``: one object per line."""

from __future__ import annotations

from ..records.objects import GROUPS
from .words import ADDRESS, COUNT, ORIGIN, ORIGIN_OR_NONE, SIGNED, TEXT, either, group, record

SCHEMA = either(
    "allocdump objects --format json: a line",
    record(
        {
            "bytes": COUNT,
            "objects": COUNT,
            "used": COUNT,
            "lost": COUNT,
            "cache": TEXT,
            **ORIGIN,
            "sizes": COUNT,
        },
        title="a site and cache",
    ),
    record(
        {"address": ADDRESS, "bytes": COUNT, "used": COUNT, "cache": TEXT, **ORIGIN},
        title="--list: an object",
    ),
    record(
        {
            "bytes": COUNT,
            "slabs": COUNT,
            "objects": COUNT,
            "free": COUNT,
            "cached": COUNT,
            "untagged": COUNT,
            "size": COUNT,
            "lost": SIGNED,
            "cache": TEXT,
        },
        title="--group-by cache: a slab cache",
    ),
    record(
        {
            "address": ADDRESS,
            "bytes": COUNT,
            "pages": COUNT,
            "kind": TEXT,
            "caller": TEXT,
            **ORIGIN_OR_NONE,
        },
        title="--group-by vmalloc: an area",
    ),
    group(GROUPS),
)
