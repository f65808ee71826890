# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rule for call sites that hold much."""

from __future__ import annotations

from ...analysis.wrappers import in_words
from ...confidence import Confidence
from ...sentence import Sentence, say
from ..cgroups import largest_cgroup
from ..commands import of_module, of_site
from ..evidence import Evidence
from ..files import files_in_memory
from ..groups import Group, suspicious_groups, where
from ..open_files import most_open_files
from ..pins import watched
from ..shortage import machine_short
from ..thresholds import FAR_ABOVE, LARGE, MOST
from ..verdict import ChapterFact, Suspect


def large_sites(case: Evidence) -> list[Suspect]:
    """The share of one site, or of sites that belong together, is far above the rest."""
    groups = suspicious_groups(case)
    return [
        _large(case, group, next((other for other in groups if other is not group), None))
        for group in groups
        if case.share(_size(group)) >= LARGE
    ]


def _size(group: Group) -> int:
    return group.sizes[0] if group.alone else group.bytes


def _large(case: Evidence, group: Group, following: Group | None) -> Suspect:
    found, size, row = case.footprint, _size(group), group.chief
    assert found is not None
    rows = [row] if group.alone else list(group.rows)
    reclaimable = int(found.reclaimable[rows].sum())
    confidence = Confidence.POSSIBLE
    far_above = following is None or size >= FAR_ABOVE * _size(following)
    if far_above and reclaimable < size // 2:
        confidence = Confidence.VERY_LIKELY if case.share(size) >= MOST else Confidence.LIKELY
    pins = _pinned(case, int(found.pinned[rows].sum()), size)
    files = files_in_memory(case, int(case.sites.calls[row]))
    watches = watched(case) if pins or files else []
    short = machine_short(case)
    place, values = where(case, group)
    return Suspect(
        rule="large_sites",
        subject=group.key,
        title=say(
            f"KERNEL MEMORY {place}: {{size:bytes}}, {{share:share}} of memory",
            size=size,
            share=case.share(size),
            **values,
        ),
        confidence=confidence if short else Confidence.POSSIBLE,
        bytes=size,
        cause=short,
        evidence=[
            *_counted(case, group),
            *_wrapper(case, row),
            *_following(case, following),
            *_together(case, group),
            *_reclaimable(reclaimable, size),
            *pins,
            *watches,
            *files,
            *_in_the_log(case, row),
            *most_open_files(case, sum(int(case.sites.calls[r]) for r in rows)),
            *largest_cgroup(case),
        ],
        rows=tuple(rows),
        commands=_commands(case, group),
        below=[
            *(ChapterFact("pinned", "in use", one) for one in watches),
            *(ChapterFact("files", "files", one) for one in files),
        ],
        advice=_advice(case, row, bool(files)),
    )


def _advice(case: Evidence, row: int, files: bool) -> Sentence:
    if files:
        return say("find out who makes so many files, or limit their number (nr_inodes)")
    return say(
        "find out who should free what {function}() allocates", function=case.sites.function[row]
    )


def _commands(case: Evidence, group: Group) -> list[str]:
    module = case.sites.module[group.chief]
    if group.worth > 1 and module:
        return of_module(case, module)
    return of_site(case, group.chief)


def _counted(case: Evidence, group: Group) -> list[Sentence]:
    """Each site that is worth mentioning, by its counter."""
    return [
        say(
            "{site}: {calls:count allocation} not freed, {counter:bytes} by its counter",
            site=case.site_name(row),
            calls=int(case.sites.calls[row]),
            counter=int(case.sites.bytes[row]),
        )
        for row in group.rows[: min(group.worth, _MOST_SITES)]
    ]


_MOST_SITES = 5
"""So many of a group are told one by one."""


def _wrapper(case: Evidence, row: int) -> list[Sentence]:
    """Whether a site may allocate for others."""
    found = case.wrappers
    if found is None or not found.marks[row]:
        return []
    facts, values = in_words(int(found.sizes[row]), int(found.holders[row]))
    return [say(f"{facts}, so that it may allocate for many callers", **values)]


def _following(case: Evidence, following: Group | None) -> list[Sentence]:
    if following is None:
        return []
    place, values = where(case, following)
    return [
        say(
            f"the next largest of the kernel's, {place}, keeps {{size:bytes}}",
            size=_size(following),
            **values,
        )
    ]


def _together(case: Evidence, group: Group) -> list[Sentence]:
    if not case.sites.module[group.chief] and len(group.rows) == 1:
        return []
    return [
        say(
            "all of {group}: {size:bytes} at {sites:count site}",
            group=group.key,
            size=group.bytes,
            sites=len(group.rows),
        )
    ]


def _reclaimable(reclaimable: int, size: int) -> list[Sentence]:
    if reclaimable < size // 2:
        return []
    return [
        say(
            "{size:bytes} of it is in caches that shrink when memory is short, unless something"
            " pins what they hold",
            size=reclaimable,
        )
    ]


def _pinned(case: Evidence, pinned: int, size: int) -> list[Sentence]:
    if pinned < size // 2:
        return []
    return [say("{size:bytes} of it is inodes and dentries that somebody uses", size=pinned)]


def _in_the_log(case: Evidence, row: int) -> list[Sentence]:
    """Find it in the kernel's own top ten at the machine's death."""
    event = case.fatal_event
    if event is None:
        return []
    for rank, logged in enumerate(event.top_sites, 1):
        if case.find(logged) == row:
            return [
                say(
                    "number {rank:number} of the kernel's own top ten in its log, with about"
                    " {size:bytes}",
                    rank=rank,
                    size=logged.bytes,
                )
            ]
    return []
