# SPDX-License-Identifier: LGPL-2.1-or-later
"""Chapter 3: who holds it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..analysis.footprint import Footprint
from ..kernel.tags.sites import Provenance, SiteName, Sites
from ..sentence import Value
from .cgroups import cgroup_table
from .evidence import Evidence
from .known_bugs import known_bugs_table
from .open_files import open_files_table
from .trust import trust
from .verdict import Chapter, Field, RecordCell, Records

_WORTH = 0.001
"""Smallest share of managed memory for a site to be on a page for people."""

_WORTH_MORE = 0.01
"""Smallest share of managed memory for anything else."""

_PART = 0.1
"""Smallest part of a site's memory to be named."""

_PARTS = ("pages", "vmalloc", "slab", "reclaimable", "percpu", "user")
"""Columns of the footprint."""


def holders(case: Evidence, top: int | None) -> Chapter:
    """Sites by what they really keep, tasks, cgroups, caches, vmalloc areas, tmpfs."""
    section = Chapter("holders", "Who holds it")
    if case.footprint:
        _sums(section, case.footprint)
    trust(section, case)
    least = _WORTH_MORE * case.managed
    cgroups = cgroup_table("cgroups", "Memory cgroups", case.cgroups, top, least)
    section.show(
        _sites().fill(_site_rows(case), top, _WORTH * case.managed),
        _top_ten(section, case),
        _tasks(case, top, least),
        open_files_table(case, top, least),
        cgroups,
        _caches(case, top, least),
        _areas().fill(_area_rows(case), top, least),
        _tmpfs(case, top, least),
        known_bugs_table(case),
    )
    return section


def _sums(section: Chapter, found: Footprint) -> None:
    section.say(
        "at_sites",
        "at call sites",
        "{size:bytes}: {kernel:bytes} the kernel's, {user:bytes} of user tasks",
        size=int(found.total.sum()),
        kernel=int(found.kernel.sum()),
        user=int(found.user.sum()),
    )
    parts = sorted(found.without.items(), key=lambda item: -item[1])
    values: dict[str, Value] = {}
    for i, (name, size) in enumerate(parts):
        values |= {f"name{i}": name, f"size{i}": size}
    text = ", ".join(f"{{name{i}}} {{size{i}:bytes}}" for i in range(len(parts)))
    whole = sum(found.without.values())
    section.say("elsewhere", "without a site", "{size:bytes}: " + text, size=whole, **values)


def _sites() -> Records:
    return Records(
        "sites",
        "Call sites by the memory that they really keep",
        [
            Field("keeps", "bytes"),
            Field("share", "share"),
            Field("counter", "bytes"),
            Field("calls", "count"),
            *(Field(part, "bytes", detail=True) for part in _PARTS),
            Field("as"),
            Field("site", "site"),
            Field("unloaded", "flag"),
        ],
    )


def _site_rows(case: Evidence) -> Iterator[list[RecordCell]]:
    found, sites = case.footprint, case.sites
    if found is None:
        return
    total = found.total
    for i in np.argsort(-total, kind="stable").tolist():
        if total[i]:
            yield [
                int(total[i]),
                case.share(int(total[i])),
                *_counted(sites, i),
                *(int(getattr(found, part)[i]) for part in _PARTS),
                _made_of(found, i),
                sites.name(i),
                bool(sites.unloaded[i]),
            ]


def _counted(sites: Sites, i: int) -> tuple[int | None, int | None]:
    """Bytes and calls, as far as something tells: as in the report."""
    evidence = sites.evidence[i]
    return (
        int(sites.bytes[i]) if evidence != Provenance.NONE else None,
        int(sites.calls[i]) if evidence == Provenance.COUNTER else None,
    )


def _made_of(found: Footprint, i: int) -> str:
    parts = {
        "pages": int(found.pages[i] - found.vmalloc[i]),
        "vmalloc": int(found.vmalloc[i]),
        "slab": int(found.slab[i]),
        "per-CPU": int(found.percpu[i]),
        "user memory": int(found.user[i]),
    }
    least = _PART * float(found.total[i])
    names = [name for name, size in parts.items() if size >= least]
    return ", ".join(sorted(names, key=lambda name: -parts[name]))


def _top_ten(section: Chapter, case: Evidence) -> Records:
    """The kernel's own list, which counts what was asked for, beside the dump's counters."""
    table = Records(
        "kernel_top_ten",
        "The kernel's own top ten, as it was logged",
        [
            Field("logged", "bytes"),
            Field("logged_calls", "count", "calls"),
            Field("counter", "bytes", "in the dump"),
            Field("calls", "count"),
            Field("site", "site"),
        ],
        detail=True,
    )
    event = case.last_event
    if event is None or not event.top_sites or not len(case.sites):
        return table
    same = 0
    for one in event.top_sites:
        row = case.find(one)
        counted = (None, None) if row is None else _counted(case.sites, row)
        same += counted[0] is not None and abs(counted[0] - one.bytes) <= one.precision
        name = SiteName(one.file, one.line, one.function, one.module)
        table.rows.append([one.bytes, one.calls, *counted, name])
    section.say(
        "kernel_top_ten",
        "kernel's own list",
        "{same:number} of {n:count site} in the kernel log have the same size in the dump",
        same=same,
        n=len(event.top_sites),
    )
    return table


def _tasks(case: Evidence, top: int | None, least: float) -> Records:
    columns = [
        Field("rss", "bytes"),
        Field("anon", "bytes", detail=True),
        Field("file", "bytes", detail=True),
        Field("shmem", "bytes", detail=True),
        Field("swap", "bytes"),
        Field("page_tables", "bytes"),
        Field("oom_score_adj", "number", "adj"),
        Field("pid", "number"),
        Field("comm", title="task"),
        Field("cgroup", "path"),
    ]
    rows = ([getattr(task, column.key) for column in columns] for task in case.tasks)
    return Records("tasks", "Tasks", columns).fill(rows, top, least)


def _caches(case: Evidence, top: int | None, least: float) -> Records:
    columns = [
        Field("bytes", "bytes", "slabs"),
        Field("allocated", "count", "objects"),
        Field("free", "count"),
        Field("untagged", "count", detail=True),
        Field("size", "bytes"),
        Field("name", title="cache"),
        Field("reclaimable", "flag"),
        Field("merged", title="or merged in it"),
    ]
    rows: Iterator[list[RecordCell]] = (
        [
            c.bytes,
            c.allocated,
            c.free,
            c.untagged,
            c.size,
            c.name,
            c.reclaimable,
            ", ".join(c.merged),
        ]
        for c in case.caches
    )
    return Records("caches", "Slab caches", columns).fill(rows, top, least)


def _areas() -> Records:
    return Records(
        "vmalloc",
        "Largest vmalloc areas",
        [
            Field("bytes", "bytes", "memory"),
            Field("address"),
            Field("caller", "code"),
            Field("site", "label"),
        ],
    )


def _area_rows(case: Evidence) -> Iterator[list[RecordCell]]:
    for use in sorted(case.areas, key=lambda use: -use.area.pages):
        if use.area.pages:
            yield [
                use.area.pages * case.page.bytes,
                f"{use.area.start:#x}",
                use.caller,
                case.sites.name(use.site) if 0 <= use.site < len(case.sites) else None,
            ]


def _tmpfs(case: Evidence, top: int | None, least: float) -> Records:
    columns = [
        Field("bytes", "bytes", "size"),
        Field("swapped", "bytes", "swap"),
        Field("files", "count"),
        Field("mount", "path"),
    ]
    rows = ([getattr(mount, column.key) for column in columns] for mount in case.tmpfs)
    return Records("tmpfs", "Files in memory (tmpfs)", columns).fill(rows, top, least)
