# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules about memory that is proven to be lost, or whose holder is known."""

from __future__ import annotations

import numpy as np

from ...sentence import say
from ..commands import leaks_of, of_module, of_site, retained_of
from ..evidence import Evidence, LargeHolder, LostSite
from ..shortage import machine_short
from ..thresholds import LARGE, MOST, NOTABLE
from ..verdict import Confidence, Suspect


def _sure(case: Evidence, size: int) -> tuple[Confidence, bool]:
    """Confidence that lost memory of some size was missing, and whether it can be the cause.

    The loss is certain. Its size decides whether the machine died of it.
    """
    cause = machine_short(case) and case.share(size) >= LARGE
    whole = not cause or case.share(size) >= MOST
    return Confidence.CERTAIN if whole else Confidence.VERY_LIKELY, cause


def unloaded_modules(case: Evidence) -> list[Suspect]:
    """A module was unloaded and left memory behind: nobody can free it."""
    sites = case.sites
    out = []
    for module in sorted(set(sites.module[sites.unloaded])):
        rows = np.flatnonzero(sites.unloaded & (sites.module == module))
        size = int(sites.bytes[rows].sum())
        if size <= 0:
            continue
        confidence, cause = _sure(case, size)
        out.append(
            Suspect(
                rule="unloaded_modules",
                subject=f"module:{module}",
                title=say(
                    "module {module} was unloaded and left {size:bytes} behind,"
                    " {share:share} of managed memory",
                    module=module,
                    size=size,
                    share=case.share(size),
                ),
                confidence=confidence,
                bytes=size,
                cause=cause,
                evidence=[
                    say("{site}: {size:bytes}", site=case.site_name(i), size=int(sites.bytes[i]))
                    for i in rows[np.argsort(-sites.bytes[rows], kind="stable")].tolist()
                ],
                commands=of_module(case, module),
            )
        )
    return out


def lost_memory(case: Evidence) -> list[Suspect]:
    """Nothing points at it any more: leaked, whoever did it."""
    return [_lost(case, lost) for lost in case.lost or [] if case.share(lost.lost_bytes) >= NOTABLE]


def _lost(case: Evidence, lost: LostSite) -> Suspect:
    confidence, cause = _sure(case, lost.lost_bytes)
    if lost.confidence not in ("", "high"):
        # That it is lost is not certain then.
        confidence = min(confidence, Confidence.LIKELY)
    evidence = [
        say(
            "{held:bytes} from there can still be reached",
            held=lost.held_bytes,
        )
    ]
    if lost.confidence:
        evidence.append(say("how sure that is: {words}", words=lost.confidence))
    return Suspect(
        rule="lost_memory",
        subject=f"site:{lost.site}",
        title=say(
            "{site} has lost {size:bytes} in {n:count allocation}: nothing points at them any"
            " more; {share:share} of managed memory",
            site=case.site_name(lost.site),
            size=lost.lost_bytes,
            n=lost.lost_allocations,
            share=case.share(lost.lost_bytes),
        ),
        confidence=confidence,
        bytes=lost.lost_bytes,
        cause=cause,
        evidence=evidence,
        commands=[leaks_of(case, lost.site), *of_site(case, lost.site)],
    )


def held_memory(case: Evidence) -> list[Suspect]:
    """One variable or task keeps much memory alive: it is not lost, but never let go."""
    return [
        _held(case, holder) for holder in case.holders or [] if case.share(holder.bytes) >= LARGE
    ]


def _held(case: Evidence, holder: LargeHolder) -> Suspect:
    evidence, subject = [], f"holder:{holder.what}:{holder.name}"
    if holder.site is not None:
        subject = f"site:{holder.site}"
        evidence.append(say("most of it comes from {site}", site=case.site_name(holder.site)))
    short = machine_short(case)
    return Suspect(
        rule="held_memory",
        subject=subject,
        title=say(
            "{name} ({what}) keeps {size:bytes} alive in {n:count allocation}, {share:share} of"
            " managed memory",
            name=holder.name,
            what=holder.what,
            size=holder.bytes,
            n=holder.allocations,
            share=case.share(holder.bytes),
        ),
        confidence=Confidence.LIKELY if short else Confidence.POSSIBLE,
        bytes=holder.bytes,
        cause=short,
        evidence=evidence,
        commands=[] if holder.site is None else [retained_of(case, holder.site)],
    )
