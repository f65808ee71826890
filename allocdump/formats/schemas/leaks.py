# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump leaks``: one object per line."""

from __future__ import annotations

from ...confidence import Confidence
from ..records.leaks import GROUPS
from .words import ADDRESS, COUNT, ORIGIN, SHARE, TEXT, either, group, one_of, record

# The module that judges needs libraries, which a schema does not.
_CONFIDENCE = [*(degree.words for degree in Confidence), "undecided", "expected"]

SCHEMA = either(
    "allocdump leaks --format json: a line",
    record(
        {
            "lost": COUNT,
            "undecided": COUNT,
            "allocations": COUNT,
            "held": COUNT,
            "held_allocations": COUNT,
            "share": SHARE,
            "heads": COUNT,
            "cluster": COUNT,
            "cluster_allocations": COUNT,
            "confidence": one_of(*_CONFIDENCE),
            **ORIGIN,
            "reason": TEXT,
            "sizes": COUNT,
            "holders": COUNT,
        },
        title="a site",
    ),
    record(
        {
            "address": ADDRESS,
            "bytes": COUNT,
            "kind": one_of("object", "pages", "vmalloc", "percpu"),
            "head": ADDRESS,
            "verdict": one_of("lost", "undecided"),
            **ORIGIN,
        },
        title="--list: an allocation",
    ),
    group(GROUPS),
)
