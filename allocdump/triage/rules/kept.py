# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules for memory that one process keeps by what it has open, and nothing else keeps."""

from __future__ import annotations

from ...confidence import Confidence
from ...kernel.machine.open_files import file_kind
from ...kernel.machine.pipes import PIPE_OPERATIONS
from ...kernel.machine.sockets import SOCKET_OPERATIONS
from ...sentence import Sentence, Value, say
from ..cgroups import cgroup_of
from ..commands import more, retained_of
from ..evidence import Evidence, Keeper
from ..groups import grouped
from ..shortage import machine_short
from ..thresholds import LARGE, MOST, NOTABLE
from ..verdict import ChapterFact, Suspect

_OTHERS = {file_kind(name) for name in (*PIPE_OPERATIONS, *SOCKET_OPERATIONS)}
"""Kinds of files that have a rule of their own, by what the kernel charges to them."""
_MOST_ORIGINS = 3


def kept_files(case: Evidence) -> list[Suspect]:
    """The open files of a process keep much: it would be freed if they were closed."""
    out = []
    for keeper in case.kept:
        size = sum(n for kind, n in keeper.kinds.items() if kind not in _OTHERS)
        if case.share(size) < LARGE:
            continue
        kinds = [k for k, n in keeper.kinds.items() if k not in _OTHERS and n >= NOTABLE * size]
        values: dict[str, Value] = {}
        for i, kind in enumerate(kinds[:2]):
            values |= {f"kind{i}": kind, f"n{i}": keeper.counts[kind]}
        which = " and ".join(f"{{n{i}:count}} {{kind{i}}}" for i in range(len(kinds[:2])))
        title = say(
            "OPEN FILES of task {comm} (pid {pid:number}): {size:bytes} kept by "
            + which
            + " files alone, {share:share} of memory",
            **_who(case, keeper, size),
            **values,
        )
        advice = say("find out why {comm} has so much open", comm=keeper.comm)
        out.append(_suspect(case, "kept_files", keeper, size, title, advice))
    return out


def kept_keys(case: Evidence) -> list[Suspect]:
    """The keys on a process's keyrings are much."""
    out = []
    for keeper in case.keys:
        size, count = sum(keeper.kinds.values()), sum(keeper.counts.values())
        if case.share(size) < LARGE:
            continue
        title = say(
            "KEYS of task {comm} (pid {pid:number}): {size:bytes} in {n:count key} on its"
            " keyrings, {share:share} of memory",
            n=count,
            **_who(case, keeper, size),
        )
        advice = say("find out why {comm} adds keys and revokes none", comm=keeper.comm)
        out.append(_suspect(case, "kept_keys", keeper, size, title, advice))
    return out


def _who(case: Evidence, keeper: Keeper, size: int) -> dict[str, Value]:
    share = case.share(size)
    return {"comm": keeper.comm, "pid": keeper.pid, "size": size, "share": share}


def _suspect(
    case: Evidence, rule: str, keeper: Keeper, size: int, title: Sentence, advice: Sentence
) -> Suspect:
    short, confidence = machine_short(case), Confidence.POSSIBLE
    if short:
        confidence = Confidence.VERY_LIKELY if case.share(size) >= MOST else Confidence.LIKELY
    group = grouped(case, keeper.sites)[0]
    origins = _origins(case, keeper)
    things = [
        say("{name}: {size:bytes}", name=name, size=n)
        for name, n in keeper.things.items()
        if n >= NOTABLE * size
    ]
    below = [ChapterFact("origin", "of it", origins)]
    below += [ChapterFact("thing", "most in", thing) for thing in things[:1]]
    below += [ChapterFact("cgroup", "cgroup", sentence) for sentence in cgroup_of(case, keeper.pid)]
    return Suspect(
        rule=rule,
        # Where most of it has one origin, that is the same thing.
        subject=group.key if group.bytes >= MOST * size else f"task:{keeper.pid}",
        title=title,
        confidence=confidence,
        bytes=size,
        cause=short,
        evidence=[*things, origins],
        commands=[retained_of(case, group.chief), *more(case)],
        advice=advice,
        below=below,
    )


def _origins(case: Evidence, keeper: Keeper) -> Sentence:
    """The sites of most of what is kept, or the caches."""
    rows = list(keeper.sites)[:_MOST_ORIGINS]
    values: dict[str, Value] = {}
    for i, row in enumerate(rows):
        values |= {f"site{i}": case.site_name(row), f"size{i}": keeper.sites[row]}
    return Sentence(", ".join(f"{{size{i}:bytes}} {{site{i}}}" for i in range(len(rows))), values)
