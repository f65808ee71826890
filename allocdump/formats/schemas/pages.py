# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump pages``: one object per line."""

from __future__ import annotations

from ...kernel.mm.page_types import PageKind
from ..records.pages import GROUPS
from .words import ADDRESS, COUNT, FLAG, ORIGIN, TEXT, either, group, one_of, or_null, record

KINDS = [kind.name.lower().replace("_", " ") for kind in PageKind]

SCHEMA = either(
    "allocdump pages --format json: a line",
    record(
        {
            "bytes": COUNT,
            "pages": COUNT,
            "allocations": COUNT,
            "inferred_pages": COUNT,
            "orders": TEXT | {"pattern": r"^[0-9]+:[0-9]+( [0-9]+:[0-9]+)*$"},
            **ORIGIN,
        },
        title="a site",
    ),
    record(
        {
            "pfn": COUNT,
            "address": ADDRESS,
            "pages": COUNT,
            "bytes": COUNT,
            "node": or_null(COUNT),
            "zone": or_null(TEXT),
            "kind": one_of(*KINDS),
            **ORIGIN,
            "inferred": FLAG,
        },
        title="--list: an allocation",
    ),
    group(GROUPS),
)
