# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump retained``: one object per line."""

from __future__ import annotations

from .words import COUNT, NULL, ORIGIN, ORIGIN_OR_NONE, TEXT, either, record

_HELD = {"retained": COUNT, "allocations": COUNT}

SCHEMA = either(
    "allocdump retained --format json: a line",
    record(
        {**_HELD, "level": {"const": 0}, "holder": TEXT, **dict.fromkeys(ORIGIN_OR_NONE, NULL)},
        title="a holder",
    ),
    record(
        {**_HELD, "level": {"type": "integer", "minimum": 1}, "holder": NULL, **ORIGIN},
        title="a site below it",
    ),
    record(
        {"bytes": COUNT, "allocations": COUNT, **ORIGIN, "holder": TEXT},
        title="--filter: a holder of a site's memory",
    ),
)
