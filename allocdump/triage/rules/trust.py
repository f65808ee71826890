# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules about memory that is not in use, or that nothing explains."""

from __future__ import annotations

import glob

from ...confidence import Confidence
from ...sentence import say
from ..commands import command
from ..evidence import Evidence
from ..shortage import machine_short
from ..thresholds import LARGE, MOST, NOTABLE
from ..verdict import Suspect

_UNEXPLAINED = ("other pages without a site", "other pages that refer to no known tag")
"""Classes of usage. Pages of user tasks and page tables without a site are not among them:
their use is known."""


def unexplained(case: Evidence) -> list[Suspect]:
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
                "NO CALL SITE explains {size:bytes} in use, {share:share} of memory",
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


def empty_slabs(case: Evidence) -> list[Suspect]:
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
                    "EMPTY SLABS of {name}: {size:bytes} of {all:bytes} are free objects",
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
                    command(
                        case, "objects", "--group-by", "cache", "--cache", glob.escape(cache.name)
                    ),
                    command(case, "objects", "--cache", glob.escape(cache.name)),
                ],
            )
        )
    return out
