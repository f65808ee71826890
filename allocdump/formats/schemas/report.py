# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump report``: see docs/report-json.md."""

from __future__ import annotations

from ...kernel.tags.roles import Role
from ..saved import EVIDENCE, VERSION
from .words import (
    ADDRESS,
    COUNT,
    FLAG,
    GROUP,
    GROUP_KEYS,
    NUMBER,
    SIGNED,
    SITE,
    STATE,
    TEXT,
    TIME,
    Schema,
    document,
    many,
    one_of,
    or_null,
    record,
)

ROLE = or_null(one_of(*filter(None, Role)))
LEFT_OUT = many(
    record(
        {
            "role": one_of(*(one for one in Role if one.backing)),
            "bytes": SIGNED,
            "sites": COUNT,
        }
    )
)
_SUM = record({"bytes": SIGNED, "calls": SIGNED, "sites": COUNT, "left_out": LEFT_OUT})

OF_SITE = record(
    {
        **SITE,
        "bytes": or_null(SIGNED),
        "calls": or_null(COUNT),
        "average": or_null(NUMBER),
        "share": or_null(NUMBER),
        "role": ROLE,
        "evidence": one_of(*EVIDENCE.values()),
        "inaccurate": FLAG,
        "unloaded": FLAG,
        "inferred_name": FLAG,
        "address": ADDRESS,
    }
)

OF_GROUP = record(
    {
        **GROUP,
        "bytes": SIGNED,
        "calls": COUNT,
        "average": NUMBER,
        "share": NUMBER,
        "sites": COUNT,
    },
    GROUP_KEYS,
)

GROUP_BY = one_of("site", "function", "file", "directory", "module")


def by_site_or_group(of_site: Schema, of_group: Schema) -> Schema:
    """Rows are sites, or groups, as ``group_by`` has it."""
    return {
        "if": {"properties": {"group_by": {"const": "site"}}},
        "then": {"properties": {"rows": many(of_site)}},
        "else": {"properties": {"rows": many(of_group)}},
    }


SCHEMA = document(
    "report",
    VERSION,
    {
        "kernel": record(
            {
                "release": TEXT,
                "version": TEXT,
                "machine": TEXT,
                "hostname": TEXT,
                "crash_time": or_null(TIME),
                "crash_reason": or_null(TEXT),
            }
        ),
        "dump": record(
            {"path": TEXT, "format": TEXT, "types": one_of("btf", "dwarf"), "state": STATE}
        ),
        "profiling": record({"state": one_of("on", "off"), "compressed": FLAG}),
        "code_tag_types": many(record({"name": TEXT, "tag_size": COUNT, "count": COUNT})),
        "completeness": record(
            {
                "complete": FLAG,
                "sites_expected": or_null(COUNT),
                "sites_found": COUNT,
                "sites_without_name": COUNT,
                "sites_without_counters": COUNT,
                "sites_moved": or_null(COUNT),
            }
        ),
        "warnings": many(TEXT),
        "total": _SUM,
        "chosen": _SUM,
        "memory": or_null(record({"bytes": COUNT, "calls": COUNT, "sites": COUNT})),
        "group_by": TEXT,
        "rows": many({}),
    },
) | by_site_or_group(OF_SITE, OF_GROUP)
