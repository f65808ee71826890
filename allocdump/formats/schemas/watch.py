# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump watch``: one object per line and round."""

from __future__ import annotations

from .report import LEFT_OUT
from .words import COUNT, FLAG, NUMBER, SIGNED, SITE, TIME, document, many, record

_GROWTH = {"growth_bytes": SIGNED, "growth_calls": SIGNED}

SCHEMA = document(
    "watch",
    3,
    {
        "round": {"type": "integer", "minimum": 1},
        "time": TIME,
        "elapsed": NUMBER,
        "sites": COUNT,
        "total": record({"bytes": SIGNED, "calls": SIGNED, **_GROWTH, "left_out": LEFT_OUT}),
        "rows": many(
            record(
                {
                    **SITE,
                    "unloaded": FLAG,
                    "bytes": SIGNED,
                    "calls": COUNT,
                    **_GROWTH,
                    "last_growth_bytes": SIGNED,
                }
            )
        ),
    },
)
