# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump whois``: one object per line."""

from __future__ import annotations

from ...graph.targets import Way
from .words import (
    ADDRESS,
    COUNT,
    FLAG,
    NUMBER,
    ORIGIN,
    TEXT,
    Schema,
    many,
    one_of,
    or_null,
    record,
)

_EVENT = record(
    {
        "what": one_of("allocated", "freed"),
        "source": one_of("page_owner", "slub_debug", "kasan"),
        "pid": or_null(COUNT),
        "tgid": or_null(COUNT),
        "comm": or_null(TEXT),
        "cpu": or_null(COUNT),
        "seconds": or_null(NUMBER),
        "age": or_null(NUMBER),
        "stack": many(TEXT),
    },
    title="an allocation or a free; frames of the stack are the innermost first",
)
_STACK = one_of("in use", "below the stack pointer", "unknown")
_SITE = record({**ORIGIN, "unloaded": FLAG})


def _layer(
    names: tuple[str, ...], detail: dict[str, Schema], optional: dict[str, Schema] | None = None
) -> Schema:
    head: dict[str, Schema] = {
        "what": one_of(*names),
        "start": or_null(ADDRESS),
        "size": or_null(COUNT),
        "site": or_null(_SITE),
        "evidence": or_null(TEXT),
    }
    return record(head | detail, optional, title=names[0])


_LAYER: Schema = {
    "oneOf": [
        _layer(
            (
                "page",
                "free page (buddy allocator)",
                "free page (per-CPU list)",
                "boot memory (reserved page)",
                "slab",
                "page table",
                "huge page",
                "anonymous page",
                "page cache",
                "shared memory page",
                "offline page",
                "page whose struct page is not in the dump",
                "large kmalloc",
                "page of KFENCE's pool",
            ),
            {"pfn": COUNT, "order": COUNT},
            {
                "order_inferred": {"const": True},
                "first_pfn": COUNT,
                "node": COUNT,
                "zone": TEXT,
                "memory_cgroup": TEXT,
                "history": many(_EVENT),
                "maps": ADDRESS,
                "task": TEXT,
            },
        ),
        _layer(
            ("slab object",),
            {"cache": TEXT, "object": COUNT, "offset": COUNT},
            {
                "state": one_of("allocated", "free", "unknown"),
                "memory_cgroup": TEXT,
                "history": many(_EVENT),
            },
        ),
        _layer(("end of a slab", "beside an object of KFENCE's"), {"cache": TEXT}),
        _layer(("struct page",), {"pfn": COUNT}),
        _layer(("per-CPU variable",), {"symbol": TEXT, "cpu": COUNT}),
        _layer(("per-CPU object",), {}, {"cpu": COUNT, "memory_cgroup": TEXT}),
        _layer(("free per-CPU memory",), {}),
        _layer(("vmalloc area",), {"kind": TEXT, "pages": COUNT}, {"caller": TEXT}),
        _layer(("kernel image",), {"symbol": TEXT}),
        _layer(("module memory",), {"module": TEXT, "section": TEXT}),
        _layer(("variable",), {"symbol": TEXT}, {"module": TEXT}),
        _layer(("stack",), {"task": TEXT, "state": _STACK}),
        _layer(("register",), {"task": TEXT, "register": TEXT}),
        _layer(("instruction",), {}, {"symbol": TEXT}),
        _layer(("nothing",), {}),
    ]
}
"""One kind of layer for each set of details."""

_REFERRER = record(
    {
        "address": or_null(ADDRESS),
        "word": ADDRESS,
        "way": one_of(*Way),
        "into": COUNT,
        "into_member": or_null(TEXT),
        "holder": {"$ref": "#/$defs/layer"},
        "offset": or_null(COUNT),
        "member": or_null(TEXT),
    }
)
_REFERRERS = record(
    {
        "to": TEXT,
        "start": ADDRESS,
        "size": COUNT,
        "symbol": or_null(TEXT),
        "count": COUNT,
        "itself": COUNT,
        "found": many(_REFERRER),
        "others": many(record({"what": TEXT, "count": COUNT})),
        "not_searched": many(TEXT),
    }
)

SCHEMA = record(
    {
        "query": TEXT,
        "address": ADDRESS,
        "layers": many({"$ref": "#/$defs/layer"}),
        "alternative": or_null({"$ref": "#/$defs/layer"}),
    },
    {"referrers": _REFERRERS},
    title="allocdump whois --format json: a line",
) | {"$defs": {"layer": _LAYER}}
