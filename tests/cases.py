# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases of dead machines, made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from allocdump.analysis.audit import Audit, Cause, PerCpuAccounting
from allocdump.analysis.caches import CacheRow
from allocdump.analysis.footprint import Footprint
from allocdump.analysis.usage import Node
from allocdump.arch.base import PageSize
from allocdump.kernel.machine.cgroups import MemoryCgroup
from allocdump.kernel.machine.memory_counters import Reclaimable
from allocdump.kernel.machine.oom import LoggedSite, OomEvent
from allocdump.kernel.machine.swap import Swap
from allocdump.kernel.machine.system import System
from allocdump.kernel.machine.tasks import Task
from allocdump.kernel.machine.zones import ZoneState
from allocdump.triage.evidence import Evidence, Machine

from . import samples

MIB = 1 << 20
PAGES = MIB // 4096
"""Of a MiB."""

SITES = samples.sites(
    ("a.c", 1, "first", "m", 0, 10),
    ("a.c", 2, "second", "m", 0, 20),
    ("b.c", 3, "other", "", 0, 30),
    ("c.c", 4, "small", "", 0, 40),
)


def zone(
    free: int,
    *,
    node: int = 0,
    name: str = "Normal",
    managed: int = 1000,
    low: int = 11,
    blocks: tuple[int, ...] | None = None,
    reserve: Sequence[int] = (),
) -> ZoneState:
    """Sizes in MiB, but *blocks* by order; watermarks are 10, 11 and 12."""
    if blocks is None:
        blocks = (0,) * 10 + (free * PAGES >> 10,)
    return ZoneState(
        node, name, (managed + 24) * PAGES, managed * PAGES, free * PAGES, 0, 10 * PAGES,
        low * PAGES, 12 * PAGES, 0, tuple(n * PAGES for n in reserve), blocks,
    )  # fmt: skip


def event(**changes: Any) -> OomEvent:
    """The machine died of it."""
    values: dict[str, Any] = {
        "time": 5.0, "task": "asker", "gfp_mask": "GFP_KERNEL", "order": 0, "oom_score_adj": 0,
        "fatal": True,
    }  # fmt: skip
    return OomEvent(**values | changes)


def footprint(
    kernel: Sequence[int] = (),
    user: Sequence[int] = (),
    slab: Sequence[int] = (),
    reclaimable: Sequence[int] = (),
    pinned: Sequence[int] = (),
) -> Footprint:
    """MiB by site, in the order of SITES."""

    def column(sizes: Sequence[int]) -> npt.NDArray[np.int64]:
        out = np.zeros(len(SITES), np.int64)
        out[: len(sizes)] = np.array(sizes, np.int64) * MIB
        return out

    zeros = column(())
    return Footprint(
        column(kernel),
        column(user),
        column(slab),
        zeros,
        zeros,
        column(reclaimable),
        column(pinned),
        {"free": 0},
    )


def usage(**classes: int) -> Node:
    """MiB by class; names with blanks."""
    root = Node("memory")
    return root.add(*(Node(name.replace("_", " "), size * MIB) for name, size in classes.items()))


def case(**changes: Any) -> Evidence:
    """1,000 MiB managed, out of memory, nothing that stands out."""
    machine = Machine(
        core="vmcore", arguments="vmcore",
        system=System("6.12.0", "#1 SMP", "x86_64", "db1", None), cpus=4,
        reason="Kernel panic", uptime=100.0, profiling="on",
    )  # fmt: skip
    values: dict[str, Any] = {
        "machine": machine, "sites": SITES, "page": PageSize(12),
        "events": [event()], "zones": [zone(5)],
        "swap": Swap(0, 0), "reclaimable": Reclaimable(0, 0, 0),
        "footprint": footprint((50, 50, 60, 10)), "usage": usage(free=5, slab=100),
    }  # fmt: skip
    return Evidence(**values | changes)


QUIET: dict[str, Any] = {"events": [], "zones": [zone(800)]}
"""Changes that make it a machine with memory to spare."""


def task(
    comm: str = "eater", *, anon: int = 0, swap: int = 0, cgroup: str = "/", pid: int = 42
) -> Task:
    return Task(pid, comm, anon * MIB, 0, 0, swap * MIB, 4096, 0, cgroup)


def cgroup(
    path: str, usage: int, *, limit: int | None = None, hits: int = 0, oom: int = 0, kills: int = 0
) -> MemoryCgroup:
    limit = None if limit is None else limit * MIB
    return MemoryCgroup(path, usage * MIB, None, limit, 0, None, hits, oom, kills)


def cache(name: str, size: int, *, used: float = 0.0, object_size: int = 1024) -> CacheRow:
    """MiB of slabs, of which a part is in use."""
    room = size * MIB // object_size
    return CacheRow(
        name, room // 4, size * MIB, object_size, object_size, room, int(room * used), 0, 0, False
    )


def audit(*rows: tuple[int, int, int, Cause]) -> Audit:
    """MiB counted and found by site, and why they differ."""
    counter, pages, inferred, objects, percpu = np.zeros((5, len(SITES)), np.int64)
    causes = np.full(len(SITES), Cause.AGREES, np.object_)
    for row, counted, found, cause in rows:
        counter[row], pages[row], causes[row] = counted * MIB, found * MIB, cause
    return Audit(
        counter, pages, inferred, objects, percpu, counter, causes, PerCpuAccounting.ONE_COPY, {}
    )


def logged(row: int, size: int, calls: int = 1) -> LoggedSite:
    """A line of the kernel's own top ten."""
    s = SITES
    return LoggedSite(
        size * MIB, MIB // 100, calls, s.file[row], int(s.line[row]), s.module[row], s.function[row]
    )
