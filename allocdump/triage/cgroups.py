# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory cgroups as a table, and in a sentence."""

from __future__ import annotations

from collections.abc import Iterable

from ..kernel.machine.cgroups import MemoryCgroup
from ..sentence import Sentence, say
from .evidence import Evidence
from .thresholds import NOTABLE
from .verdict import Field, Records


def cgroup_table(
    key: str, title: str, cgroups: Iterable[MemoryCgroup], top: int | None, least: float = 0
) -> Records:
    """One row for each of *cgroups*."""
    shown = list(cgroups)
    columns = [
        Field("usage", "bytes"),
        Field("max", "bytes", "limit"),
        Field("high", "bytes", detail=all(group.high is None for group in shown)),
        Field("swap", "bytes"),
        Field("swap_max", "bytes", detail=True),
        Field("hits", "count"),
        Field("throttled", "count", detail=not any(group.throttled for group in shown)),
        Field("oom", "count"),
        Field("oom_kill", "count", "kills"),
        Field("removed", "flag", detail=not any(group.removed for group in shown)),
        Field("path", "path", "cgroup"),
    ]
    rows = ([getattr(group, column.key) for column in columns] for group in shown)
    return Records(key, title, columns).fill(rows, top, least)


def cgroup_of(case: Evidence, pid: int) -> list[Sentence]:
    """The cgroup of a process, and what it has; none if that is the root, or not known."""
    path = next((task.cgroup for task in case.tasks if task.pid == pid), "")
    usage = next((group.usage for group in case.cgroups if group.path == path), None)
    if path in ("", "/"):
        return []
    if usage is None:
        return [say("{path}", path=path)]
    return [say("{path}, {usage:bytes}", path=path, usage=usage)]


def largest_cgroup(case: Evidence) -> list[Sentence]:
    """The cgroup with most memory, as evidence; none if it has little."""
    below = [group for group in case.cgroups if group.path != "/"]
    if not below:
        return []
    top = max(below, key=lambda group: group.usage)
    if case.share(top.usage) < NOTABLE:
        return []
    return [say("memory cgroup with most: {path}, {usage:bytes}", path=top.path, usage=top.usage)]
