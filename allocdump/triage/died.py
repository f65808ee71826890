# SPDX-License-Identifier: LGPL-2.1-or-later
"""Chapter 1: what died, or the machine if it did not."""

from __future__ import annotations

from ..kernel.machine.oom import OomEvent
from ..text import host_name
from .cgroups import cgroup_table
from .evidence import Evidence
from .verdict import Chapter, Field, RecordCell, Records

NOT_KNOWN = "not known: the kernel log is not readable in full"


def died(case: Evidence, top: int | None) -> Chapter:
    """Kernel, machine, reason, and every shortage of memory."""
    m = case.machine
    section = Chapter("died", "The machine" if m.alive else "What died")
    section.say(
        "kernel",
        "kernel",
        "Linux {release} {machine}, {version}",
        release=m.system.release,
        machine=m.system.machine,
        version=m.system.version,
    )
    host = host_name(m.system.hostname)
    section.say(
        "machine",
        "machine",
        "{host}{cpus:count possible CPU}, {managed:bytes} managed of {present:bytes}",
        host=f"{host}, " if host else "",
        cpus=m.cpus,
        managed=case.managed,
        present=sum(zone.present for zone in case.zones) * case.page.bytes,
    )
    if m.uptime is not None:
        section.say("uptime", "uptime", "{uptime:seconds}", uptime=m.uptime)
    if m.system.crash_time:
        when = f"{m.system.crash_time:%Y-%m-%d %H:%M:%S} UTC"
        section.say("time", "time", "{time}", time=when)
    if m.alive:
        section.say("state", "state", "the kernel is {state}", state=m.state)
    if m.reason or not m.alive:
        unsaid = "not in the kernel log" if case.log_is_whole else NOT_KNOWN
        section.say("reason", "reason", "{reason}", reason=m.reason or unsaid)
    if m.death:
        section.say("task", "task", "{task} (pid {pid:number})", task=m.death.task, pid=m.death.pid)
        if m.death.frames:
            # The innermost first.
            section.say("backtrace", "backtrace", "{frames}", frames=" < ".join(m.death.frames))
    section.say("taint", "taint", "{flags}", flags=m.taint or "none")
    if m.parameters:
        section.say("parameters", "booted with", "{parameters}", parameters=m.parameters)
    section.say("profiling", "profiling", "{state}", state=m.profiling)
    _out_of_memory(section, case)
    hit = [group for group in case.cgroups if group.at_limit]
    if case.cgroups:
        section.say(
            "cgroups",
            "cgroups",
            "{hit:number} of {n:count memory cgroup} hit a limit",
            hit=len(hit),
            n=len(case.cgroups),
        )
    limits = cgroup_table("limits", "Memory cgroups that hit their limits", hit, top)
    section.show(_events(case, top), limits)
    return section


def _out_of_memory(section: Chapter, case: Evidence) -> None:
    event = case.fatal_event
    if event:
        section.say(
            "wanted",
            "wanted",
            "{task} asked for {size:bytes} (order {order:number}), {gfp}",
            task=event.task,
            size=case.page.bytes << max(event.order, 0),
            order=event.order,
            gfp=event.gfp_mask,
        )
        _outcome(section, event)
    elif case.events:
        section.say(
            "events",
            "out of memory",
            "{n:count time} before, never fatal",
            n=len(case.events),
        )
    else:
        known = "no event in the kernel log" if case.log_is_whole else NOT_KNOWN
        section.say("events", "out of memory", known)
    if case.failures:
        section.say(
            "failures",
            "failures",
            "{n:count page allocation failure} in the kernel log, of up to order {order:number}",
            n=len(case.failures),
            order=max(failure.order for failure in case.failures),
        )


def _outcome(section: Chapter, event: OomEvent) -> None:
    if event.cgroup:
        section.say(
            "outcome",
            "outcome",
            "the kernel panicked at the limit of memory cgroup {path}",
            path=event.cgroup,
        )
    elif event.constraint or event.nodes:
        section.say(
            "outcome",
            "outcome",
            "the kernel panicked; constraint: {constraint}, nodes allowed: {nodes}",
            constraint=str(event.constraint or "not told"),
            nodes=event.nodes or "any",
        )
    else:
        section.say("outcome", "outcome", "the kernel panicked instead of killing a task")


def _events(case: Evidence, top: int | None) -> Records:
    table = Records(
        "events",
        "Out-of-memory events in the kernel log, latest last",
        [
            Field("time", "seconds"),
            Field("task"),
            Field("order", "number"),
            Field("gfp_mask"),
            Field("constraint"),
            Field("nodes", detail=True),
            Field("cgroup", "path"),
            Field("usage", "bytes", detail=True),
            Field("limit", "bytes", detail=True),
            Field("victim", title="killed"),
            Field("victim_pid", "number", "PID"),
            Field("victim_rss", "bytes", "RSS"),
            Field("fatal", "flag"),
        ],
    )
    rows: list[list[RecordCell]] = []
    for e in case.events:
        v = e.victim
        rows.append(
            [
                e.time,
                e.task,
                e.order,
                e.gfp_mask,
                str(e.constraint) if e.constraint else None,
                e.nodes or None,
                e.cgroup or None,
                e.usage,
                e.limit,
                v.comm if v else None,
                v.pid if v else None,
                v.anon + v.file + v.shmem if v else None,
                e.fatal,
            ]
        )
    # The last ones matter most; a single fatal one has been told already.
    told = top is not None and len(rows) == 1 and case.fatal_event is not None
    table.rows = [] if told else rows if top is None else rows[-top:]
    table.left_out = len(rows) - len(table.rows)
    return table
