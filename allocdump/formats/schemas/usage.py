# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump usage``: a tree."""

from __future__ import annotations

from .words import SHARE, SIGNED, STATE, TEXT, Schema, document, many, or_null, record

_NODE: Schema = {"$ref": "#/$defs/node"}

SCHEMA = document("usage", 1, {"state": STATE, "memory": _NODE}) | {
    "$defs": {
        "node": record(
            {"name": TEXT, "bytes": SIGNED, "share": SHARE, "kernel_counter": or_null(SIGNED)},
            {"note": TEXT, "children": many(_NODE)},
        )
    }
}
