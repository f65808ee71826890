# SPDX-License-Identifier: LGPL-2.1-or-later
"""Triage: one page from a dead machine to the suspect."""

from __future__ import annotations

from .died import died
from .evidence import Evidence
from .holders import holders
from .memory import memory
from .rules import suspects
from .stacks import dominant_stack
from .summary import judge, summary, where_to_look
from .verdict import Triage


def triage(case: Evidence, top: int | None = None) -> Triage:
    """Judge a case.

    :param top: rows of each table; None is all
    """
    found = suspects(case)
    if found:
        found[0].evidence += dominant_stack(case, found[0])
    return Triage(
        core=case.machine.core,
        verdict=judge(case, found),
        summary=summary(case, found),
        sections=[died(case, top), memory(case, top), holders(case, top)],
        suspects=found,
        commands=where_to_look(case, found),
        missing=case.missing,
        usage=case.usage,
    )
