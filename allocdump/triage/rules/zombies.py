# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rule for memory cgroups that were removed, but still have memory."""

from __future__ import annotations

from ...confidence import Confidence
from ...sentence import Sentence, say
from ..commands import command
from ..evidence import Evidence, ZombieMemory
from ..shortage import machine_short
from ..thresholds import LARGE, MOST
from ..verdict import Suspect

_KINDS = {"shmem": "files in tmpfs and shared memory", "cache": "page cache of files"}
_CANNOT_GO = ("shmem", "anonymous")
"""Page cache can simply be dropped."""


def zombie_cgroups(case: Evidence) -> list[Suspect]:
    """Removed memory cgroups are charged for a large part of memory.

    By the charges of pages, not by counters, which say what has been charged in batches. It is a
    cause only if what cannot be dropped is most of memory, and the machine had too little.
    """
    found = case.zombies
    if found is None or case.share(found.bytes) < LARGE or found.bytes > case.managed:
        return []
    stays = sum(found.kinds.get(kind, 0) for kind in _CANNOT_GO)
    return [
        Suspect(
            rule="zombie_cgroups",
            subject="zombie cgroups",
            title=say(
                "REMOVED MEMORY CGROUPS: {size:bytes} are still charged to {n:count cgroup} that"
                " were removed, {share:share} of memory",
                size=found.bytes,
                n=found.number,
                share=case.share(found.bytes),
            ),
            confidence=Confidence.LIKELY,
            bytes=found.bytes,
            cause=machine_short(case) and case.share(stays) >= MOST,
            evidence=_evidence(found),
            commands=[
                command(case, "usage", "--by", "cgroup"),
                command(case, "pages", "--group-by", "cgroup,type"),
            ],
            advice=_advice(found),
        )
    ]


def _evidence(found: ZombieMemory) -> list[Sentence]:
    out = [
        say("{what}: {size:bytes}", what=_KINDS.get(kind, f"{kind} memory"), size=size)
        for kind, size in found.kinds.items()
    ]
    path, size = next(iter(found.parents.items()))
    out.append(say("most were below {path}: {size:bytes}", path=path, size=size))
    for mount, (of_mount, files) in list(found.mounts.items())[:1]:
        out.append(
            say(
                "most is of {n:count file} in {mount}: {size:bytes}",
                n=files,
                mount=mount,
                size=of_mount,
            )
        )
    for name, of_file in found.files[:1]:
        out.append(say("the largest of them is {name}, {size:bytes}", name=name, size=of_file))
    return out


def _advice(found: ZombieMemory) -> Sentence:
    kind, _ = next(iter(found.kinds.items()))
    mount = next(iter(found.mounts), "")
    if kind == "shmem" and mount:
        return say("let the jobs in these cgroups remove their files in {mount}", mount=mount)
    if kind == "cache":
        return say("their page cache goes when memory is needed, or by memory.reclaim before")
    return say("find out which tasks still have memory that was charged to these cgroups")
