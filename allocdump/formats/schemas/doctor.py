# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump doctor``"""

from __future__ import annotations

from ...analysis.diagnosis import Works
from ...source.host import Health
from .words import COUNT, FLAG, TEXT, document, either, many, one_of, or_null, record

_THERE = record({"found": FLAG, "why": or_null(TEXT)})

SCHEMA = either(
    "allocdump doctor --format json",
    document(
        "doctor",
        1,
        {
            "format": TEXT,
            "compression": or_null(TEXT),
            "flattened": FLAG,
            "dump_level": or_null(COUNT),
            "left_out": many(TEXT),
            "missing_bytes": COUNT,
            "incomplete": FLAG,
            "release": or_null(TEXT),
            "build_id": or_null(TEXT),
            "build": or_null(TEXT),
            "machine": or_null(TEXT),
            "page_bytes": or_null(COUNT),
            "kallsyms": _THERE,
            "btf": _THERE,
            "types": or_null(one_of("btf", "dwarf")),
            "profiling": or_null(TEXT),
            "damage": many(TEXT),
            "commands": many(
                record(
                    {
                        "command": TEXT,
                        "works": one_of(*Works),
                        "exit_code": COUNT,
                        "why": many(TEXT),
                        "remedy": or_null(TEXT),
                    }
                )
            ),
            "bugs": many(
                record(
                    {
                        "bug": TEXT,
                        "effect": TEXT,
                        "commit": or_null(TEXT),
                        "fixed": or_null(TEXT),
                    }
                )
            ),
            "layouts": many(
                record({"structure": TEXT, "variant": or_null(TEXT), "since": or_null(TEXT)})
            ),
        },
    ),
    document(
        "doctor.live",
        1,
        {
            "release": or_null(TEXT),
            "findings": many(
                record(
                    {
                        "check": TEXT,
                        "health": one_of(*Health),
                        "found": TEXT,
                        "advice": or_null(TEXT),
                    }
                )
            ),
        },
    ),
)
