# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump triage``: see docs/triage-json.md."""

from __future__ import annotations

from ...confidence import Confidence
from ...kernel.machine.oom import Constraint
from ...triage.shortage import Standing
from .words import (
    ADDRESS,
    COUNT,
    FLAG,
    NUMBER,
    ORIGIN,
    ORIGIN_OR_NONE,
    SHARE,
    SIGNED,
    TEXT,
    Schema,
    document,
    many,
    one_of,
    or_null,
    record,
)  # fmt: skip

_SENTENCE: Schema = {"$ref": "#/$defs/sentence"}


def _chapter(facts: tuple[str, ...], **tables: Schema) -> Schema:
    """Facts and tables are there if there is something to say."""
    return record(
        {"facts": record({}, dict.fromkeys(facts, _SENTENCE))},
        {name: many(row) for name, row in tables.items()},
    )


_CGROUP = record(
    {
        "usage": or_null(COUNT),
        "max": or_null(COUNT),
        "high": or_null(COUNT),
        "swap": or_null(COUNT),
        "swap_max": or_null(COUNT),
        "hits": or_null(COUNT),
        "throttled": or_null(COUNT),
        "oom": or_null(COUNT),
        "oom_kill": or_null(COUNT),
        "removed": FLAG,
        "path": TEXT,
    }
)

_DIED = _chapter(
    (
        "kernel", "machine", "uptime", "time", "state", "reason", "task", "backtrace", "taint",
        "parameters", "profiling", "wanted", "outcome", "events", "failures", "cgroups",
    ),
    events=record(
        {
            "time": or_null(NUMBER),
            "task": TEXT,
            "order": SIGNED,
            "gfp_mask": TEXT,
            "constraint": or_null(one_of(*Constraint)),
            "nodes": or_null(TEXT),
            "cgroup": or_null(TEXT),
            "usage": or_null(COUNT),
            "limit": or_null(COUNT),
            "victim": or_null(TEXT),
            "victim_pid": or_null(COUNT),
            "victim_rss": or_null(COUNT),
            "fatal": FLAG,
        }
    ),
    limits=_CGROUP,
)  # fmt: skip

_BLOCKS = record({"node": COUNT, "zone": TEXT}) | {
    "patternProperties": {"^order_[0-9]+$": COUNT},
}

_MEMORY = _chapter(
    ("swap", "boot", "reclaimable", "unreclaimable"),
    usage=record(
        {"bytes": SIGNED, "share": SHARE, "kernel_counter": or_null(SIGNED), "name": TEXT}
    ),
    zones=record(
        {
            "node": COUNT,
            "zone": TEXT,
            "present": COUNT,
            "managed": COUNT,
            "free": COUNT,
            "free_cma": COUNT,
            "pcp": or_null(COUNT),
            "min": COUNT,
            "low": COUNT,
            "high": COUNT,
            "boost": COUNT,
            "reserve": COUNT,
            "state": one_of(*Standing),
        }
    ),
    blocks=_BLOCKS,
)

_COUNTED = {"counter": or_null(SIGNED), "calls": or_null(COUNT)}
_TASK = {"pid": COUNT, "comm": TEXT}

_HOLDERS = _chapter(
    ("at_sites", "elsewhere", "kernel_top_ten", "kernel_list_differs", "disagreement"),
    sites=record(
        {
            "keeps": COUNT,
            "share": SHARE,
            **_COUNTED,
            "pages": COUNT,
            "vmalloc": COUNT,
            "slab": COUNT,
            "reclaimable": COUNT,
            "percpu": COUNT,
            "user": COUNT,
            "as": TEXT,
            **ORIGIN,
            "unloaded": FLAG,
        }
    ),
    kernel_top_ten=record({"logged": COUNT, "logged_calls": COUNT, **_COUNTED, **ORIGIN}),
    tasks=record(
        {
            "rss": COUNT,
            "anon": COUNT,
            "file": COUNT,
            "shmem": COUNT,
            "swap": COUNT,
            "page_tables": COUNT,
            "oom_score_adj": SIGNED,
            **_TASK,
            "cgroup": TEXT,
        }
    ),
    open_files=record(
        {
            "bytes": COUNT,
            "pipe_bytes": COUNT,
            "socket_bytes": COUNT,
            "pipes": COUNT,
            "sockets": COUNT,
            "files": COUNT,
            **_TASK,
            "protocols": TEXT,
            "kinds": TEXT,
        }
    ),
    cgroups=_CGROUP,
    caches=record(
        {
            "bytes": COUNT,
            "allocated": COUNT,
            "free": COUNT,
            "untagged": COUNT,
            "size": COUNT,
            "name": TEXT,
            "reclaimable": FLAG,
            "merged": TEXT,
        }
    ),
    vmalloc=record({"bytes": COUNT, "address": ADDRESS, "caller": TEXT, **ORIGIN_OR_NONE}),
    tmpfs=record({"bytes": COUNT, "swapped": COUNT, "files": COUNT, "mount": TEXT}),
    known_bugs=record(
        {
            "bytes": or_null(COUNT),
            "count": or_null(COUNT),
            "fixed": or_null(TEXT),
            **dict.fromkeys(("bug", "commit", "effect", "subject", "since"), TEXT),
        }
    ),
)

_SUMMARY = (
    "died", "origin", "thing", "pinned", "files", "between", "holder", "cgroup", "advice", "next",
    "gaps",
)  # fmt: skip

_SUSPECT = record(
    {
        "rule": TEXT,
        "title": _SENTENCE,
        "confidence": one_of(*(confidence.words for confidence in Confidence)),
        "cause": FLAG,
        "bytes": or_null(COUNT),
        "advice": or_null(_SENTENCE),
        "evidence": many(_SENTENCE),
        "commands": many(TEXT),
    }
)

SCHEMA = document(
    "triage",
    2,
    {
        "core": TEXT,
        "verdict": _SENTENCE,
        "summary": record({}, dict.fromkeys(_SUMMARY, _SENTENCE)),
        "died": _DIED,
        "memory": _MEMORY,
        "holders": _HOLDERS,
        "suspects": many(_SUSPECT),
        "commands": many(TEXT),
        "missing": many(TEXT),
    },
) | {
    "$defs": {
        "sentence": record(
            {
                "text": TEXT,
                "values": {
                    "type": "object",
                    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
                },
            }
        )
    }
}
