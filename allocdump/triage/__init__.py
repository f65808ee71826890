# SPDX-License-Identifier: LGPL-2.1-or-later
"""Triage: one page from a dead machine to the suspect."""

from __future__ import annotations

from ..sentence import Sentence, say
from .commands import command
from .died import died
from .evidence import Evidence
from .holders import holders
from .memory import memory
from .rules import suspects
from .shortage import shortage
from .verdict import Suspect, Triage


def triage(case: Evidence, top: int | None = None) -> Triage:
    """Judge a case.

    :param top: rows of each table; None is all
    """
    found = suspects(case)
    return Triage(
        core=case.machine.core,
        verdict=_verdict(case, found),
        sections=[died(case, top), memory(case, top), holders(case, top)],
        suspects=found,
        commands=[] if any(suspect.cause for suspect in found) else _commands(case),
        missing=case.missing,
        usage=case.usage,
    )


def _commands(case: Evidence) -> list[str]:
    if not len(case.sites):
        return []
    return [command(case, "report", "--top", "20"), command(case, "usage")]


def _verdict(case: Evidence, found: list[Suspect]) -> Sentence:
    short = shortage(case)
    causes = [suspect for suspect in found if suspect.cause]
    if causes:
        first = causes[0]
        title = first.title
        return Sentence(
            title.template + " ({confidence})",
            title.values | {"confidence": first.confidence.words},
        )
    if short:
        return say("{shortage}, but nothing stands out as the cause", shortage=str(short))
    if not case.zones:
        return say("nothing tells whether memory was short")
    template = "memory was not short: {free:bytes} free, {share:share} of managed memory; "
    template += "no cause to find, but {n:count finding}" if found else "nothing stands out"
    return say(template, free=case.free, share=case.share(case.free), n=len(found))
