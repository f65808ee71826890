# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump usage``: a tree; with ``--fragmentation``, zones and origins."""

from __future__ import annotations

from ...analysis.divided import BY
from .words import (
    COUNT,
    ORIGIN_OR_NONE,
    SHARE,
    SIGNED,
    STATE,
    TEXT,
    Schema,
    document,
    either,
    many,
    one_of,
    or_null,
    record,
)

_NODE: Schema = {"$ref": "#/$defs/node"}
_INDEX = many(or_null(SHARE))
_ZONE = record(
    {
        "node": COUNT,
        "zone": TEXT,
        "free": COUNT,
        "blocks": COUNT,
        "free_blocks": COUNT,
        "movable_blocks": COUNT,
        "free_by_order": many(COUNT),
        "free_by_type": {"type": "object", "additionalProperties": many(COUNT)},
        "fragmentation_index": _INDEX,
        "unusable_index": many(SHARE),
        "unusable": SHARE,
    }
)
_ROW = record(
    {
        "node": COUNT,
        "zone": TEXT,
        "gives": COUNT,
        "gives_whole": COUNT,
        "gives_bytes": COUNT,
        "gives_empty": COUNT,
        "blocks": COUNT,
        "bytes": COUNT,
        **ORIGIN_OR_NONE,
    }
)

SCHEMA = either(
    "allocdump usage --format json, version 1",
    document("usage", 1, {"state": STATE, "memory": _NODE}, {"by": one_of(*BY)}),
    document(
        "usage",
        1,
        {"state": STATE, "order": COUNT, "zones": many(_ZONE), "unmovable": many(_ROW)},
    ),
) | {
    "properties": {"schema": {"const": "allocdump.usage"}},
    "$defs": {
        "node": record(
            {"name": TEXT, "bytes": SIGNED, "share": SHARE, "kernel_counter": or_null(SIGNED)},
            {"note": TEXT, "children": many(_NODE)},
        )
    },
}
