# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump audit``"""

from __future__ import annotations

from .words import (
    ADDRESS,
    COUNT,
    SHARE,
    SIGNED,
    SITE,
    STATE,
    TEXT,
    document,
    many,
    or_null,
    record,
)

SCHEMA = document(
    "audit",
    1,
    {
        "state": STATE,
        "sites": COUNT,
        "agree": COUNT,
        "matched": SHARE,
        "percpu_accounting": or_null(TEXT),
        "strays": many(
            record({"address": ADDRESS, "references": COUNT, "bytes": COUNT, "tag": or_null(TEXT)})
        ),
        "rows": many(
            record(
                {
                    **SITE,
                    "counter": SIGNED,
                    "pages": COUNT,
                    "inferred": COUNT,
                    "objects": COUNT,
                    "percpu": COUNT,
                    "difference": SIGNED,
                    "counter_calls": COUNT,
                    "reference_calls": COUNT,
                    "cause": or_null(TEXT),
                }
            )
        ),
    },
)
