# SPDX-License-Identifier: LGPL-2.1-or-later
"""Known bugs that the kernel has, or what saved it, and what they did here."""

from __future__ import annotations

import numpy as np

from ..analysis.audit import Audit, Cause
from ..kernel.bugs import Bug, KnownBug
from ..kernel.tags.sites import Provenance
from .evidence import Evidence
from .verdict import Field, Records

_CAUSES = {Bug.MIGRATED: Cause.MIGRATED, Bug.UNNAMED_TAGS: Cause.UNNAMED_TAG}
"""Bugs that a cause in the audit is named after."""
_MOVES = "compaction_alloc"
"""Allocator of the pages that compaction moves others to."""


def known_bugs_table(case: Evidence) -> Records:
    """One row for each bug; those that were not seen to do anything are not for people."""
    table = Records(
        "known_bugs",
        "Known bugs of this kernel",
        [
            Field("bytes", "bytes", "seen"),
            Field("count", "count", "times"),
            Field("bug"),
            Field("commit", title="fix"),
            Field("fixed", title="fixed in"),
            Field("effect", detail=True),
            Field("subject", detail=True),
            Field("since", detail=True),
        ],
    )
    for bug in sorted(case.bugs, key=list(Bug).index):
        known: KnownBug = bug.value
        table.rows.append(
            [
                *_seen(bug, case),
                known.title,
                known.commit,
                known.fixed or None,
                known.effect,
                known.subject,
                known.since,
            ]
        )
    table.detail = not any(row[0] or row[1] for row in table.rows)
    return table


def _seen(bug: Bug, case: Evidence) -> tuple[int | None, int | None]:
    """Bytes and things that show it; None where nothing could."""
    if bug is Bug.VECTOR_CYCLES:
        return (case.cycles.bytes, case.cycles.slabs) if case.cycles else (None, None)
    if bug is Bug.MODULE_COUNTERS:
        gone = case.sites.unloaded & (case.sites.evidence != Provenance.COUNTER)
        return None, int(np.count_nonzero(gone))
    if bug is Bug.MIGRATED_TAGS:
        moved = (case.sites.function == _MOVES) & (case.sites.module == "")
        return int(case.sites.bytes[moved].sum()), int(case.sites.calls[moved].sum())
    if bug in _CAUSES and case.audit:
        return _of_cause(case.audit, _CAUSES[bug])
    return None, None


def _of_cause(audit: Audit, cause: Cause) -> tuple[int, int]:
    rows = audit.cause == cause
    return int(audit.difference[rows].sum()), int(np.count_nonzero(rows))
