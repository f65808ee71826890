# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shortages of memory in the kernel log.

Mirrors the messages of ``mm/oom_kill.c``, ``mem_cgroup_print_oom_meminfo()`` in
``mm/memcontrol.c``, ``warn_alloc()`` in ``mm/page_alloc.c`` and, since Linux 6.10,
``__show_mem()`` in ``mm/show_mem.c``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from ...text import printable
from .log import KernelLog

_INVOKED = re.compile(
    rb"^(?P<task>.{0,15}) invoked oom-killer: gfp_mask=(?P<mask>0x[0-9a-f]+)\((?P<gfp>.*?)\),"
    rb"(?: nodemask=(?P<nodes>\S+),)? order=(?P<order>-?\d+), oom_score_adj=(?P<adj>-?\d+)",
    re.MULTILINE,
)
_KILL = re.compile(
    rb"^oom-kill:constraint=CONSTRAINT_(?P<constraint>[A-Z_]+),nodemask=(?P<nodes>[^,]*(?:,\d[^,]*)*)"
    rb",cpuset=(?P<cpuset>.*?),mems_allowed=(?P<mems>[\d,-]*)"
    rb"(?:,oom_memcg=(?P<cgroup>.*?)|,global_oom)(?:,task_memcg=(?P<task_cgroup>.*?))?"
    rb",task=(?P<task>.*),pid=(?P<pid>\d+),uid=(?P<uid>\d+)$",
    re.MULTILINE,
)
_KILLED = re.compile(
    rb"^(?P<why>.*?): Killed process (?P<pid>\d+) \((?P<comm>.*)\) total-vm:\d+kB,"
    rb" anon-rss:(?P<anon>\d+)kB, file-rss:(?P<file>\d+)kB, shmem-rss:(?P<shmem>\d+)kB",
    re.MULTILINE,
)
_CGROUP = re.compile(rb"^Memory cgroup stats for (?P<path>.*?):", re.MULTILINE)
_CGROUP_USAGE = re.compile(
    rb"^memory: usage (?P<usage>\d+)kB, limit (?P<limit>\d+)kB, failcnt \d+", re.MULTILINE
)
_TOP = re.compile(
    rb"^Memory allocations(?: \(profiling is currently turned \w+\))?:$", re.MULTILINE
)
_TOP_SITE = re.compile(
    rb"\s*(?P<size>\d+(?:\.\d+)?) (?P<unit>B|[KMGTPE]iB)\s+(?P<calls>\d+)"
    rb" (?P<file>\S+):(?P<line>\d+) (?:\[(?P<module>\S+)\] )?func:(?P<function>\S+)"
)
_FAILURE = re.compile(
    rb"^(?P<task>.{0,15}): page allocation failure: order:(?P<order>\d+),"
    rb" mode:0x[0-9a-f]+\((?P<gfp>.*?)\)",
    re.MULTILINE,
)
_FATAL = re.compile(
    rb"^Kernel panic - not syncing: (?:Out of memory|System is deadlocked on memory)", re.MULTILINE
)
_UNITS = {
    unit: 1 << 10 * power
    for power, unit in enumerate(["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}
_TOP_LINES = 10
"""alloc_tag_top_users() is asked for so many."""
_PAGE_COUNTER_MAX = (1 << 53) - (1 << 10)
"""PAGE_COUNTER_MAX in kB, and somewhat less, for it differs with the size of pages: no limit."""


class Constraint(StrEnum):
    """Limits on the memory that was allowed: ``enum oom_constraint``."""

    NONE = "none"
    CPUSET = "cpuset"
    MEMORY_POLICY = "memory policy"
    MEMCG = "memory cgroup"


_CONSTRAINTS = {c.name.encode(): c for c in Constraint}


@dataclass(frozen=True)
class Victim:
    """The task that was killed; sizes in bytes."""

    pid: int
    comm: str
    anon: int = 0
    file: int = 0
    shmem: int = 0


@dataclass(frozen=True)
class LoggedSite:
    """A line of "Memory allocations": the kernel's own top ten."""

    bytes: int
    """As exact as three digits are."""
    precision: int
    """Bytes that its last digit stands for."""
    calls: int
    file: str
    line: int
    module: str
    function: str


@dataclass(frozen=True)
class OomEvent:
    """One time that the out-of-memory killer was called."""

    time: float | None
    """Seconds since boot."""
    task: str
    """Name of the task that asked for memory."""
    gfp_mask: str
    """``GFP_KERNEL|__GFP_ZERO``"""
    order: int
    """-1: by sysrq"""
    oom_score_adj: int
    constraint: Constraint | None = None
    """None if the log does not say: nothing does when the kernel panics instead of killing,
    but for a memory cgroup's limit."""
    nodes: str = ""
    """The nodes that were allowed, as ``0-1,3``; empty for any."""
    cpuset: str = ""
    cgroup: str = ""
    """The memory cgroup that was at its limit."""
    usage: int | None = None
    """Of that cgroup, in bytes."""
    limit: int | None = None
    """None if it has none."""
    task_cgroup: str = ""
    """The memory cgroup of the victim."""
    victim: Victim | None = None
    fatal: bool = False
    """The kernel panicked instead of killing."""
    top_sites: list[LoggedSite] = field(default_factory=list)


@dataclass(frozen=True)
class AllocationFailure:
    """A "page allocation failure": whoever asked had to do without."""

    time: float | None
    task: str
    order: int
    gfp_mask: str


def oom_events(log: KernelLog) -> list[OomEvent]:
    """All calls of the out-of-memory killer that the log still has, oldest first."""
    found = list(_INVOKED.finditer(log.text))
    ends = [m.start() for m in found] + [len(log.text)]
    return [_event(log, m, log.text[m.start() : ends[i + 1]]) for i, m in enumerate(found)]


def allocation_failures(log: KernelLog) -> list[AllocationFailure]:
    """All page allocation failures that the log still has, oldest first."""
    return [
        AllocationFailure(
            log.time(m.start()), printable(m["task"]), int(m["order"]), printable(m["gfp"])
        )
        for m in _FAILURE.finditer(log.text)
    ]


def _event(log: KernelLog, invoked: re.Match[bytes], text: bytes) -> OomEvent:
    kill, killed = _KILL.search(text), _KILLED.search(text)
    cgroup, usage = _CGROUP.search(text), _CGROUP_USAGE.search(text)
    constraint = Constraint.MEMCG if cgroup else None
    nodes, path = _nodes(invoked["nodes"]), cgroup["path"] if cgroup else b""
    if kill:
        constraint = _CONSTRAINTS.get(kill["constraint"], constraint)
        nodes = _nodes(kill["nodes"]) or nodes
        path = path or kill["cgroup"] or b""
        if constraint == Constraint.CPUSET:
            nodes = nodes or _nodes(kill["mems"])
    limit = int(usage["limit"]) if usage else _PAGE_COUNTER_MAX
    return OomEvent(
        time=log.time(invoked.start()),
        task=printable(invoked["task"]),
        gfp_mask=printable(invoked["gfp"]),
        order=int(invoked["order"]),
        oom_score_adj=int(invoked["adj"]),
        constraint=constraint,
        nodes=nodes,
        cpuset=printable(kill["cpuset"]) if kill else "",
        cgroup=printable(path),
        usage=int(usage["usage"]) << 10 if usage else None,
        limit=limit << 10 if limit < _PAGE_COUNTER_MAX else None,
        task_cgroup=printable(kill["task_cgroup"] or b"") if kill else "",
        victim=_victim(kill, killed),
        fatal=_FATAL.search(text) is not None,
        top_sites=_top_sites(text),
    )


def _nodes(text: bytes | None) -> str:
    """A list of nodes; ``(null)`` is any."""
    return printable(text) if text and text != b"(null)" else ""


def _victim(kill: re.Match[bytes] | None, killed: re.Match[bytes] | None) -> Victim | None:
    if killed:
        sizes = (int(killed[name]) << 10 for name in ("anon", "file", "shmem"))
        return Victim(int(killed["pid"]), printable(killed["comm"]), *sizes)
    return Victim(int(kill["pid"]), printable(kill["task"])) if kill else None


def _top_sites(text: bytes) -> list[LoggedSite]:
    start = _TOP.search(text)
    if not start:
        return []
    sites = []
    for line in text[start.end() :].splitlines()[1 : _TOP_LINES + 1]:
        if m := _TOP_SITE.fullmatch(line.rstrip()):
            unit = _UNITS[m["unit"].decode()]
            digits = len(m["size"].partition(b".")[2])
            sites.append(
                LoggedSite(
                    round(float(m["size"]) * unit),
                    max(1, round(unit / 10**digits)),
                    int(m["calls"]),
                    printable(m["file"]),
                    int(m["line"]),
                    printable(m["module"] or b""),
                    printable(m["function"]),
                )
            )
    return sites
