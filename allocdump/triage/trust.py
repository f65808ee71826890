# SPDX-License-Identifier: LGPL-2.1-or-later
"""Facts that speak against the numbers: they are no cause of anything."""

from __future__ import annotations

import numpy as np

from ..analysis.audit import Cause
from ..kernel.machine.oom import LoggedSite
from .evidence import Evidence
from .thresholds import NOTABLE
from .verdict import Chapter

_TOLERANCE = 0.1
"""The kernel goes on between writing its list and dying."""

_HARMLESS = (Cause.AGREES, Cause.EXCLUDED, Cause.COUNTERS_GONE, Cause.COUNTERS_INCOMPLETE)
"""Causes of a difference that are the dump's, not the kernel's."""


def trust(section: Chapter, case: Evidence) -> None:
    """Say where counters, memory and the kernel's own list contradict each other."""
    _disagreement(section, case)
    _kernel_list(section, case)


def _disagreement(section: Chapter, case: Evidence) -> None:
    audit = case.audit
    if audit is None:
        return
    difference = np.abs(audit.difference)
    rows = [
        row
        for row in np.argsort(-difference, kind="stable").tolist()
        if case.share(int(difference[row])) >= NOTABLE and audit.cause[row] not in _HARMLESS
    ]
    if not rows:
        return
    section.say(
        "disagreement",
        "counters",
        "counters and memory of {n:count site} disagree, most of {site}: {counter:bytes} counted,"
        " {memory:bytes} found ({cause})",
        n=len(rows),
        site=case.site_name(rows[0]),
        counter=int(audit.counter[rows[0]]),
        memory=int(audit.memory[rows[0]]),
        cause=str(audit.cause[rows[0]]),
    )


def _kernel_list(section: Chapter, case: Evidence) -> None:
    """The list that the dying kernel logged does not fit what is in the dump."""
    event = case.fatal_event
    if event is None:
        return

    def in_dump(logged: LoggedSite) -> int:
        row = case.find(logged)
        return 0 if row is None else int(case.sites.bytes[row])

    def off(logged: LoggedSite) -> int:
        return abs(in_dump(logged) - logged.bytes)

    differing = [
        logged
        for logged in event.top_sites
        if off(logged) > logged.precision + _TOLERANCE * logged.bytes
        and case.share(off(logged)) >= NOTABLE
    ]
    if not differing:
        return
    worst = max(differing, key=off)
    module = f" [{worst.module}]" if worst.module else ""
    section.say(
        "kernel_list_differs",
        "kernel's own list",
        "the kernel logged about {logged:bytes} for {site} when it died, the dump has {now:bytes}",
        logged=worst.bytes,
        site=f"{worst.file}:{worst.line} {worst.function}{module}",
        now=in_dump(worst),
    )
