# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules about memory that is not in use, or that nothing explains."""

from __future__ import annotations

import glob

import numpy as np

from ...analysis.audit import Cause
from ..commands import command, of_site
from ..evidence import Case
from ..sentence import say
from ..shortage import machine_short
from ..thresholds import LARGE, MOST, NOTABLE
from ..verdict import Confidence, Suspect

_UNEXPLAINED = ("other pages without a site", "other pages that refer to no known tag")
"""Classes of usage. Pages of user tasks and page tables without a site are not among them:
their use is known."""

_TOLERANCE = 0.1
"""The kernel goes on between writing its list and dying."""

_HARMLESS = (Cause.AGREES, Cause.EXCLUDED, Cause.COUNTERS_GONE, Cause.COUNTERS_INCOMPLETE)
"""Causes of a difference that are the dump's, not the kernel's."""


def unexplained(case: Case) -> list[Suspect]:
    """Pages in use that no site explains."""
    size = case.class_bytes(*_UNEXPLAINED)
    if not len(case.sites) or case.share(size) < NOTABLE:
        return []
    short = machine_short(case)
    return [
        Suspect(
            rule="unexplained",
            subject="unexplained",
            title=say(
                "no site explains {size:bytes} in use, {share:share} of managed memory",
                size=size,
                share=case.share(size),
            ),
            confidence=Confidence.LIKELY if case.share(size) >= LARGE else Confidence.POSSIBLE,
            bytes=size,
            cause=short and case.share(size) >= LARGE,
            evidence=[
                say("{name}: {size:bytes}", name=name, size=case.class_bytes(name))
                for name in _UNEXPLAINED
                if case.class_bytes(name)
            ]
            + [
                say("profiling was off when the machine died")
                if case.machine.profiling.startswith("off")
                else say("allocated before profiling was ready, or while it was off")
            ],
            commands=[command(case, "usage", "--depth", "2"), command(case, "audit")],
        )
    ]


def empty_slabs(case: Case) -> list[Suspect]:
    """Caches whose slabs are mostly empty: their objects were freed, but not their memory."""
    out = []
    for cache in case.caches:
        size = cache.free * cache.size
        if case.share(size) < NOTABLE or cache.free < MOST * cache.capacity:
            continue
        out.append(
            Suspect(
                rule="empty_slabs",
                subject=f"cache:{cache.name}",
                title=say(
                    "slabs of {name} are mostly empty: {size:bytes} of {all:bytes} are free"
                    " objects",
                    name=cache.name,
                    size=size,
                    all=cache.bytes,
                ),
                confidence=Confidence.LIKELY,
                bytes=size,
                cause=machine_short(case) and case.share(size) >= LARGE,
                evidence=[
                    say(
                        "{used:count object} of {room:count} in {slabs:count slab}: each keeps"
                        " its slab from being given back",
                        used=cache.allocated,
                        room=cache.capacity,
                        slabs=cache.slabs,
                    )
                ],
                commands=[
                    command(case, "objects", "--by", "cache", "--cache", glob.escape(cache.name)),
                    command(case, "objects", "--cache", glob.escape(cache.name)),
                ],
            )
        )
    return out


def disagreement(case: Case) -> list[Suspect]:
    """Counters and memory contradict each other."""
    audit = case.audit
    if audit is None:
        return []
    out = []
    for row in np.argsort(-np.abs(audit.difference), kind="stable").tolist():
        difference = int(audit.difference[row])
        if case.share(abs(difference)) < NOTABLE:
            break
        if audit.cause[row] in _HARMLESS:
            continue
        out.append(
            Suspect(
                rule="disagreement",
                subject=f"difference:{row}",
                title=say(
                    "counter and memory of {site} disagree: {counter:bytes} counted,"
                    " {memory:bytes} found",
                    site=case.site_name(row),
                    counter=int(audit.counter[row]),
                    memory=int(audit.memory[row]),
                ),
                confidence=Confidence.POSSIBLE,
                bytes=abs(difference),
                cause=False,
                evidence=[say("cause: {cause}", cause=str(audit.cause[row]))],
                commands=of_site(case, row)[:1],
            )
        )
    return out


def kernel_top_ten(case: Case) -> list[Suspect]:
    """The list that the dying kernel logged contradicts the dump."""
    event = case.fatal_event
    if event is None:
        return []
    out = []
    for logged in event.top_sites:
        row = case.find(logged)
        now = 0 if row is None else int(case.sites.bytes[row])
        off = abs(now - logged.bytes)
        if off <= logged.precision + _TOLERANCE * logged.bytes or case.share(off) < NOTABLE:
            continue
        module = f" [{logged.module}]" if logged.module else ""
        name = f"{logged.file}:{logged.line} {logged.function}{module}"
        out.append(
            Suspect(
                rule="kernel_top_ten",
                subject=f"logged:{name}",
                title=say(
                    "the kernel logged about {logged:bytes} for {site} when it died, the dump has"
                    " {now:bytes}",
                    logged=logged.bytes,
                    site=name,
                    now=now,
                ),
                confidence=Confidence.POSSIBLE,
                bytes=off,
                cause=False,
                evidence=[
                    say("the site is not in the dump")
                    if row is None
                    else say("{calls:count allocation} logged", calls=logged.calls)
                ],
                commands=[] if row is None else of_site(case, row)[:1],
            )
        )
    return out
