# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules about memory that is proven to be lost, or whose holder is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...confidence import Confidence
from ...kernel.tags.sites import UNKNOWN, OriginKind
from ...sentence import Sentence, say
from ..commands import command, leaks_of, leaks_of_module, of_module, of_site, retained_of
from ..evidence import Evidence, LargeHolder, LostSite
from ..groups import Group, group_key, grouped, where
from ..shortage import machine_short
from ..thresholds import LARGE, MOST, NOTABLE
from ..verdict import Suspect

_MOST_SITES = 5
"""So many sites of a leak are told one by one."""
_MOST_LEAKS = 10
"""So many leaks that nobody died of are told one by one."""


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
        called = "a module of unreadable name" if module == UNKNOWN else "module {module}"
        out.append(
            Suspect(
                rule="unloaded_modules",
                subject=f"module {module}",
                title=say(
                    f"LEAK of {called}, which was unloaded: {{size:bytes}} left behind,"
                    " {share:share} of memory",
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
                rows=tuple(rows.tolist()),
                commands=of_module(case, module),
                advice=say(
                    f"let the exit function of {called} free what it allocated",
                    module=module,
                ),
            )
        )
    return out


def lost_memory(case: Evidence) -> list[Suspect]:
    """Nothing points at it any more: leaked, whoever did it.

    A proven leak is told whatever its size; what is not proven, if it is worth mentioning.
    """
    # What an unloaded module left is that rule's.
    leading = (one for one in case.lost or [] if one.head is None)
    lost = {one.site: one for one in leading if not case.names.unloaded[one.site]}
    sizes = {row: one.lost_bytes for row, one in lost.items()}
    for one in case.lost or []:
        if one.head in sizes:
            sizes[one.head] += one.lost_bytes
    worth = {
        row: size
        for row, size in sizes.items()
        if lost[row].confidence == Confidence.CERTAIN or case.share(size) >= NOTABLE
    }
    found = [_lost(case, _as_sure(group, lost), lost) for group in grouped(case, worth)]
    small = [s for s in found if not s.cause and case.share(s.bytes or 0) < NOTABLE]
    rest = small[_MOST_LEAKS:]
    out = [suspect for suspect in found if suspect not in rest]
    return [*out, _others(case, rest)] if rest else out


def _as_sure(group: Group, lost: dict[int, LostSite]) -> Group:
    """The sites of a group that are no less sure than its largest one."""
    least = lost[group.chief].confidence
    pairs = [
        (row, size)
        for row, size in zip(group.rows, group.sizes, strict=True)
        if lost[row].confidence >= least
    ]
    return Group(group.key, tuple(row for row, _ in pairs), tuple(size for _, size in pairs))


def _lost(case: Evidence, group: Group, lost: dict[int, LostSite]) -> Suspect:
    sites = [lost[row] for row in group.rows]
    sites += [one for one in case.lost or [] if one.head in group.rows]
    size, first = group.bytes, sites[0]
    confidence, cause = _sure(case, size)
    confidence = min(confidence, first.confidence)
    place, values = where(case, group)
    return Suspect(
        rule="lost_memory",
        subject=_subject(case, group),
        title=say(
            f"LEAK {place}: {{size:bytes}} lost, {{share:share}} of memory",
            size=size,
            share=case.share(size),
            **values,
        ),
        confidence=confidence,
        bytes=size,
        cause=cause,
        evidence=list(_of_leak(case, sites)),
        rows=group.rows,
        commands=_commands(case, group),
        advice=_advice(case, group.chief),
    )


def _advice(case: Evidence, row: int) -> Sentence:
    name = case.names.name(row)
    if not (name.is_site or name.origin in (OriginKind.CALLER, OriginKind.STACK)):
        return say("look at what is lost: without a call site, its contents tell whose it is")
    return say(
        "find the path on which what {function}() allocates is dropped without being freed",
        function=name.function or name.file.partition("+")[0],
    )


def _subject(case: Evidence, group: Group) -> str:
    """A leak that is most of what its group keeps is the same thing; else it is beside it."""
    sizes = case.suspicious
    whole = sum(
        int(sizes[row]) for row in sizes.nonzero()[0].tolist() if group_key(case, row) == group.key
    )
    return group.key if group.bytes >= MOST * whole else f"lost: {group.key}"


def _of_leak(case: Evidence, sites: list[LostSite]) -> Iterator[Sentence]:
    for one in sites[:_MOST_SITES]:
        yield say(
            "{site}: nothing alive points at {n:count allocation} with {size:bytes} any more,"
            " {held:bytes} can still be reached ({sure})",
            site=case.site_name(one.site),
            n=one.lost_allocations,
            size=one.lost_bytes,
            held=one.held_bytes,
            sure=one.confidence.words,
        )
    if len(sites) > _MOST_SITES:
        yield say("and at {n:count more site}", n=len(sites) - _MOST_SITES)


def _commands(case: Evidence, group: Group) -> list[str]:
    module = case.names.module[group.chief]
    if group.worth > 1 and module:
        return [leaks_of_module(case, module), *of_module(case, module)]
    return [leaks_of(case, group.chief), *of_site(case, group.chief)]


def _others(case: Evidence, rest: list[Suspect]) -> Suspect:
    size = sum(suspect.bytes or 0 for suspect in rest)
    return Suspect(
        rule="lost_memory",
        subject="lost: others",
        title=say(
            "LEAKS at {n:count more place}: {size:bytes} lost, {share:share} of memory",
            n=len(rest),
            size=size,
            share=case.share(size),
        ),
        confidence=min(suspect.confidence for suspect in rest),
        bytes=size,
        cause=False,
        commands=[command(case, "leaks")],
    )


def held_memory(case: Evidence) -> list[Suspect]:
    """One variable or task keeps much memory alive: it is not lost, but never let go."""
    return [
        _held(case, holder) for holder in case.holders or [] if case.share(holder.bytes) >= LARGE
    ]


def _held(case: Evidence, holder: LargeHolder) -> Suspect:
    evidence, subject = [], f"holder:{holder.what}:{holder.name}"
    if holder.site is not None:
        subject = group_key(case, holder.site)
        evidence.append(say("most of it comes from {site}", site=case.site_name(holder.site)))
    short = machine_short(case)
    return Suspect(
        rule="held_memory",
        subject=subject,
        title=say(
            "HELD by {name} ({what}): {size:bytes} in {n:count allocation}, {share:share} of"
            " memory",
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
        rows=() if holder.site is None else (holder.site,),
        commands=[] if holder.site is None else [retained_of(case, holder.site)],
        advice=say("find out who should take entries off {name}", name=holder.name),
    )
