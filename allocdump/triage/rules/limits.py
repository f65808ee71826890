# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules for machines that had memory, but not there, not in one piece, or not for this task."""

from __future__ import annotations

from ...analysis.in_the_way import most_in_the_way, rows_in_the_way
from ...arch.base import PageSize
from ...confidence import Confidence
from ...kernel.machine.cgroups import MemoryCgroup
from ...kernel.machine.oom import OomEvent
from ...kernel.machine.zones import ZoneState
from ...sentence import Sentence, say
from ..commands import command, more
from ..evidence import Evidence
from ..shortage import (
    Shortage,
    Standing,
    in_list,
    shortage,
    standing,
    takes_cma,
    wanted,
    wanted_order,
    with_room,
)
from ..thresholds import MOST
from ..verdict import ChapterFact, Suspect


def cgroup_limit(case: Evidence) -> list[Suspect]:
    """The machine died of a memory cgroup's limit, not of a lack of memory."""
    event = case.fatal_event
    if event is None or shortage(case) != Shortage.CGROUP:
        return []
    now = next((c for c in case.cgroups if c.path == event.cgroup), None)
    limit = event.limit if event.limit is not None else now.max if now else None
    usage = event.usage if event.usage is not None else now.usage if now else None
    title = say("LIMIT of memory cgroup {path} reached, not the machine's", path=event.cgroup)
    if limit is not None and usage is not None:
        title = say(
            "LIMIT of memory cgroup {path} reached, not the machine's: {usage:bytes} of"
            " {limit:bytes}",
            path=event.cgroup,
            usage=usage,
            limit=limit,
        )
    return [
        Suspect(
            rule="cgroup_limit",
            subject=f"cgroup:{event.cgroup}",
            title=title,
            confidence=Confidence.CERTAIN,
            bytes=usage,
            evidence=[*_in_cgroup(case, event.cgroup, now), _free(case)],
            commands=more(case),
            advice=say(
                "raise memory.max of {path}, or find out why its tasks need more",
                path=event.cgroup,
            ),
        )
    ]


def _in_cgroup(case: Evidence, path: str, now: MemoryCgroup | None) -> list[Sentence]:
    out = []
    if now:
        out.append(
            say(
                "it hit its limit {hits:count time}; the out-of-memory killer was called"
                " {oom:count time} and killed {kills:count task}",
                hits=now.hits,
                oom=now.oom,
                kills=now.oom_kill,
            )
        )
    task = next(
        (t for t in case.tasks if t.cgroup == path or t.cgroup.startswith(path + "/")), None
    )
    if task:
        out.append(
            say(
                "largest task in it: {comm} (pid {pid:number}), {rss:bytes} resident",
                comm=task.comm,
                pid=task.pid,
                rss=task.rss,
            )
        )
    return out


def _free(case: Evidence) -> Sentence:
    return say(
        "the machine still had {free:bytes} free, {share:share} of memory",
        free=case.free,
        share=case.share(case.free),
    )


def cgroup_kills(case: Evidence) -> list[Suspect]:
    """Tasks were killed at the limits of memory cgroups before."""
    fatal = case.fatal_event
    out = []
    for group in case.cgroups:
        below = any(c.path.startswith(group.path + "/") and c.oom_kill for c in case.cgroups)
        if not group.oom_kill or group.max is None or below:
            continue
        if fatal and fatal.cgroup == group.path:
            continue
        out.append(
            Suspect(
                rule="cgroup_kills",
                subject=f"cgroup:{group.path}",
                title=say(
                    "{kills:count task} killed at the limit of memory cgroup {path}, {max:bytes}",
                    path=group.path,
                    max=group.max,
                    kills=group.oom_kill,
                ),
                confidence=Confidence.CERTAIN,
                bytes=None,
                cause=False,
                evidence=_in_cgroup(case, group.path, group),
                commands=more(case),
            )
        )
    return out


def cgroup_throttled(case: Evidence) -> list[Suspect]:
    """Tasks of memory cgroups were slowed down at ``memory.high``, which kills none."""
    return [
        Suspect(
            rule="cgroup_throttled",
            subject=f"cgroup:{group.path}",
            title=say(
                "tasks of memory cgroup {path} slowed down {n:count time} at its memory.high,"
                " {high:bytes}",
                path=group.path,
                n=group.throttled,
                high=group.high,
            ),
            confidence=Confidence.CERTAIN,
            bytes=None,
            cause=False,
            evidence=[say("it has {usage:bytes}", usage=group.usage)],
            commands=more(case),
        )
        for group in case.cgroups
        if group.high is not None and group.throttled
    ]


def elsewhere(case: Evidence) -> list[Suspect]:
    """Memory was free, but in zones or on nodes that were not allowed."""
    event = case.fatal_event
    if event is None or shortage(case) != Shortage.ELSEWHERE:
        return []
    rich = [
        zone
        for zone in with_room(case.zones, event.order, takes_cma(event))
        if not _allowed(event, zone)
    ]
    if not rich:
        return []
    free = sum(zone.free for zone in rich) * case.page.bytes
    cma = takes_cma(event)
    poor = [zone for zone in case.zones if standing(zone, cma) == Standing.EXHAUSTED]
    evidence = [_zone(zone, case.page) for zone in [*rich, *poor]]
    if event.constraint:
        evidence.append(
            say(
                "the kernel says that a {constraint} allowed only node {nodes}",
                constraint=str(event.constraint),
                nodes=event.nodes or "?",
            )
        )
    return [
        Suspect(
            rule="elsewhere",
            subject="elsewhere",
            title=say(
                "MEMORY ELSEWHERE: {free:bytes} free in {zones}, where {task} could not get it",
                task=event.task,
                free=free,
                zones=", ".join(f"node {zone.node} {zone.name}" for zone in rich),
            ),
            confidence=Confidence.CERTAIN if event.constraint else Confidence.LIKELY,
            bytes=free,
            evidence=evidence,
            commands=[
                command(case, "pages", "--node", str(node))
                for node in sorted({zone.node for zone in poor})
            ],
            advice=say(
                "let {task} use that memory, or find out who filled the rest", task=event.task
            ),
        )
    ]


def _allowed(event: OomEvent, zone: ZoneState) -> bool:
    """Tell if the log allows a node or zone. If it says nothing, the memory that was left was
    not allowed."""
    return bool(event.nodes) and in_list(zone.node, event.nodes)


def _zone(zone: ZoneState, page: PageSize) -> Sentence:
    return say(
        "node {node:number} {zone}: {free:bytes} free, watermarks {min:bytes} to {high:bytes}",
        node=zone.node,
        zone=zone.name,
        free=zone.free << page.shift,
        min=zone.min << page.shift,
        high=zone.high << page.shift,
    )


def fragmentation(case: Evidence) -> list[Suspect]:
    """Memory was free, but not in pieces as large as was asked for."""
    order, cause = wanted_order(case), shortage(case) == Shortage.FRAGMENTED
    if not order:
        return []
    piece = case.page.bytes << order
    between, holder = _between(case), _holder(case)
    first = between[:1] if case.fragments and rows_in_the_way(case.fragments) else []
    below = [ChapterFact("between", "in the way", sentence) for sentence in first]
    below += [ChapterFact("holder", "held by", sentence) for sentence in holder]
    return [
        Suspect(
            rule="fragmentation",
            subject="fragmentation",
            title=say(
                "FRAGMENTATION: {free:bytes} free, but no piece of order {order:number}"
                " ({piece:bytes})",
                free=case.free,
                order=order,
                piece=piece,
            ),
            confidence=Confidence.VERY_LIKELY if cause else Confidence.POSSIBLE,
            bytes=case.free,
            cause=cause,
            evidence=[*between, *holder, *(_pieces(zone, case.page) for zone in case.zones)],
            commands=[command(case, "usage", "--fragmentation", "--order", str(order))],
            advice=say("find out who needs pieces of {piece:bytes} at once", piece=piece),
            below=below,
        )
    ]


def _pieces(zone: ZoneState, page: PageSize) -> Sentence:
    largest = max((order for order, n in enumerate(zone.free_blocks) if n), default=0)
    return say(
        "node {node:number} {zone}: {free:bytes} free in pieces of up to {size:bytes} (order"
        " {order:number}), watermarks {min:bytes} to {high:bytes}",
        node=zone.node,
        zone=zone.name,
        free=zone.free * page.bytes,
        size=page.bytes << largest,
        order=largest,
        min=zone.min * page.bytes,
        high=zone.high * page.bytes,
    )


def _between(case: Evidence) -> list[Sentence]:
    """What stands in the way, and whether compaction could have made a piece."""
    found = case.fragments
    if found is None:
        return []
    movable, of_cma = sum(zone.movable for zone in found.zones), 0
    if not takes_cma(wanted(case)):
        of_cma = sum(zone.movable_cma for zone in found.zones)
    if movable > of_cma:
        compaction = say(
            "{movable:count block} had nothing unmovable: compaction could have made as many"
            " free, while pages were free elsewhere",
            movable=movable - of_cma,
        )
    elif movable:
        compaction = say(
            "{movable:count block} had nothing unmovable, but in CMA areas, which are not for"
            " such requests: compaction could have made none",
            movable=movable,
        )
    else:
        compaction = say("no block is without unmovable pages: compaction could have made none")
    return [*most_in_the_way(found), compaction]


def _holder(case: Evidence) -> list[Sentence]:
    """The process whose open files keep most of what stands in the way."""
    found = case.fragments
    first = [] if found is None else rows_in_the_way(found, 1)
    if found is None or not first:
        return []
    i = first[0]
    row, size = int(found.rows.row[i]), int(found.rows.gives_bytes[i])
    keeper = next((one for one in case.kept if one.sites.get(row, 0) >= MOST * size), None)
    if keeper is None:
        return []
    kind = next(iter(keeper.kinds))
    return [
        say(
            "task {comm} (pid {pid:number}), {n:count} {kind} files",
            comm=keeper.comm,
            pid=keeper.pid,
            n=keeper.counts[kind],
            kind=kind,
        )
    ]
