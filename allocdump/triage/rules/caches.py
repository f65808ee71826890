# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rule for slab caches, where no profile says who allocated their objects."""

from __future__ import annotations

from ...analysis.caches import CacheRow
from ...confidence import Confidence
from ...sentence import Sentence, say
from ..cgroups import largest_cgroup
from ..commands import more
from ..evidence import Evidence
from ..files import files_in_memory
from ..pins import in_use, watched
from ..shortage import machine_short
from ..thresholds import ALIKE, LARGE, MOST, NOTABLE
from ..verdict import ChapterFact, Suspect


def large_caches(case: Evidence) -> list[Suspect]:
    """Slab caches whose objects in use are many, alone or with what belongs to each of them.

    An inode, say, comes with a dentry and what security modules keep of it. Slabs that are
    mostly empty are another rule's.
    """
    if len(case.sites):
        return []
    left = sorted(
        (c for c in case.caches if case.share(_used(c)) >= NOTABLE), key=_used, reverse=True
    )
    out = []
    while left:
        first, others = left[0], left[1:]
        group = [first, *(c for c in others if _as_many(c, first))]
        left = [c for c in others if c not in group]
        well = _shrinks(case, group) and not machine_short(case)
        if case.share(sum(map(_used, group))) >= LARGE and not well:
            out.append(_large(case, group))
    return out


def _used(cache: CacheRow) -> int:
    return cache.allocated * cache.size


def _reclaimable(case: Evidence, group: list[CacheRow]) -> int:
    return sum(
        int(cache.bytes * (1 - case.in_use(cache.name))) for cache in group if cache.reclaimable
    )


def _shrinks(case: Evidence, group: list[CacheRow]) -> bool:
    """Most of it is given back on demand: machines that are well have as much of it as fits."""
    return 2 * _reclaimable(case, group) >= sum(cache.bytes for cache in group)


def _as_many(one: CacheRow, other: CacheRow) -> bool:
    return abs(one.allocated - other.allocated) <= ALIKE * other.allocated


def _large(case: Evidence, group: list[CacheRow]) -> Suspect:
    first, whole = group[0], sum(cache.bytes for cache in group)
    short = machine_short(case)
    confidence = Confidence.POSSIBLE
    if short and not _shrinks(case, group):
        used = sum(map(_used, group))
        confidence = Confidence.VERY_LIKELY if case.share(used) >= MOST else Confidence.LIKELY
    evidence = [*_merged(first), *_belonging(case, group)]
    if _shrinks(case, group):
        evidence.append(
            say(
                "{size:bytes} of it may be reclaimed when memory is short, unless something pins"
                " it",
                size=_reclaimable(case, group),
            )
        )
    users = in_use(case, [cache.name for cache in group if cache.reclaimable])
    files = files_in_memory(case, first.allocated)
    below = [ChapterFact("pinned", "in use", sentence) for sentence in watched(case) if users]
    below += [ChapterFact("files", "files", sentence) for sentence in files]
    return Suspect(
        rule="large_caches",
        subject=f"cache:{first.name}",
        title=say(
            "SLAB CACHE {name}"
            + (" and {more:count cache} that {go} with it" if len(group) > 1 else "")
            + ": {size:bytes} in {n:count object}, {share:share} of memory",
            name=first.called,
            more=len(group) - 1,
            go="goes" if len(group) == 2 else "go",
            size=whole,
            n=first.allocated,
            share=case.share(whole),
        ),
        confidence=confidence,
        bytes=whole,
        cause=short,
        evidence=evidence + users + files + largest_cgroup(case),
        caches=tuple(cache.name for cache in group),
        commands=more(case),
        advice=say("find out who makes so many objects of {name}", name=first.called),
        below=below,
    )


def _merged(cache: CacheRow) -> list[Sentence]:
    if not cache.merged:
        return []
    return [
        say(
            "the kernel merged caches of one size, so that {name} may be any of these: {names}",
            name=cache.name,
            names=", ".join(cache.merged),
        )
    ]


def _belonging(case: Evidence, group: list[CacheRow]) -> list[Sentence]:
    """Caches with as many objects as the first one, and all together."""
    if len(group) == 1:
        return []
    whole = sum(cache.bytes for cache in group)
    return [
        say(
            "as many objects are in {name}: {n:count object}, {size:bytes}",
            name=cache.called,
            n=cache.allocated,
            size=cache.bytes,
        )
        for cache in group[1:]
    ] + [
        say(
            "together {size:bytes}, {share:share} of memory",
            size=whole,
            share=case.share(whole),
        )
    ]
