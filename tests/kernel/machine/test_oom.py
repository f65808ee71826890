# SPDX-License-Identifier: LGPL-2.1-or-later
"""The out-of-memory killer's messages, as mm/oom_kill.c and mm/show_mem.c print them."""

from __future__ import annotations

import pytest

from allocdump.kernel.machine.log import KernelLog
from allocdump.kernel.machine.oom import (
    AllocationFailure,
    Constraint,
    LoggedSite,
    OomEvent,
    Victim,
    allocation_failures,
    oom_events,
)

HEADER = b"Web Content invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_ZERO), order=0, oom_score_adj=-500\n"  # noqa: E501
KILL = (
    b"oom-kill:constraint=CONSTRAINT_%s,nodemask=%s,cpuset=pods,mems_allowed=0-1,3,%s"
    b"task_memcg=/user/a,b,task=Web, pid=1,pid=4711,uid=1000\n"
)
KILLED = (
    b"%s: Killed process 4711 (Web) total-vm:10224kB, anon-rss:8124kB,"
    b" file-rss:4kB, shmem-rss:1344kB, UID:1000 pgtables:56kB oom_score_adj:-500\n"
)
TOP = b"""Memory allocations%s:
      203 MiB   206615 leaker.c:10 [leaker] func:get rec
     1.25 GiB        3 mm/slub.c:2478 func:alloc_slab_page
     40.4 MiB    10331 a/b.c:7 [m] func:f
        512 B        1 x.c:1 func:g
Tasks state (memory values in pages):
"""


def parsed(text: bytes) -> list[OomEvent]:
    return oom_events(KernelLog(text))


def test_nothing() -> None:
    assert parsed(b"") == []
    assert parsed(b"Memory allocations:\n 1 KiB 1 a.c:1 func:f\n") == []


def test_a_kill() -> None:
    one, two = parsed(
        b"boot\n" + HEADER + KILL % (b"NONE", b"(null)", b"global_oom,") + KILLED % b"Out of memory"
        + HEADER + b"Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled"
    )  # fmt: skip
    assert (one.task, one.gfp_mask, one.order) == (
        "Web Content", "GFP_HIGHUSER_MOVABLE|__GFP_ZERO", 0
    )  # fmt: skip
    assert (one.oom_score_adj, one.constraint, one.nodes) == (-500, Constraint.NONE, "")
    assert (one.cpuset, one.cgroup, one.task_cgroup) == ("pods", "", "/user/a,b")
    assert one.victim == Victim(4711, "Web", 8124 << 10, 4 << 10, 1344 << 10)
    assert (one.fatal, two.fatal) == (False, True)
    assert (two.victim, two.constraint) == (None, None)


@pytest.mark.parametrize(
    ("name", "mask", "constraint", "nodes"),
    [
        (b"CPUSET", b"(null)", Constraint.CPUSET, "0-1,3"),
        (b"MEMORY_POLICY", b"1,4-7", Constraint.MEMORY_POLICY, "1,4-7"),
        (b"NONE", b"2", Constraint.NONE, "2"),
        (b"SOMETHING", b"(null)", None, ""),
    ],
)
def test_constraints(name: bytes, mask: bytes, constraint: Constraint | None, nodes: str) -> None:
    (event,) = parsed(HEADER + KILL % (name, mask, b"global_oom,"))
    assert (event.constraint, event.nodes) == (constraint, nodes)
    assert event.victim == Victim(4711, "Web, pid=1")


def test_a_cgroups_limit() -> None:
    usage = (
        b"memory: usage 8192kB, limit 8192kB, failcnt 18\nswap: usage 0kB, limit 1kB, failcnt 0\n"
    )
    text = HEADER + usage + b"Memory cgroup stats for /first:\nanon 1\n"
    (event,) = parsed(text + KILL % (b"MEMCG", b"(null)", b"oom_memcg=/first,"))
    assert (event.constraint, event.cgroup) == (Constraint.MEMCG, "/first")
    assert (event.usage, event.limit) == (8 << 20, 8 << 20)
    # When the kernel panics, nothing else tells that it was a cgroup.
    (event,) = parsed(text.replace(b"limit 8192kB", b"limit 9007199254740988kB"))
    assert (event.constraint, event.cgroup) == (Constraint.MEMCG, "/first")
    assert (event.usage, event.limit) == (8 << 20, None)


@pytest.mark.parametrize("state", [b"", b" (profiling is currently turned on)"])
def test_the_kernels_top_ten(state: bytes) -> None:
    (event,) = parsed(HEADER + TOP % state)
    assert event.top_sites == [
        LoggedSite(1342177280, 10737418, 3, "mm/slub.c", 2478, "", "alloc_slab_page"),
        LoggedSite(42362470, 104858, 10331, "a/b.c", 7, "m", "f"),
        LoggedSite(512, 1, 1, "x.c", 1, "", "g"),
    ]


def test_times() -> None:
    log = KernelLog(b"a\n" + HEADER + b"Kernel panic - not syncing: x\nlater", "", (1, 2, 3, 4))
    (event,) = oom_events(log)
    assert event.time == 2 / 1e9
    assert log.uptime() == 3 / 1e9
    assert KernelLog(b"a\nb", "", (1, 2)).uptime() == 2 / 1e9
    assert KernelLog(b"a\nb").uptime() is None


def test_strings_are_made_printable() -> None:
    (event,) = parsed(HEADER.replace(b"Web Content", b"\x1b[2J\xff"))
    assert event.task == r"\x1b[2J\xff"


def test_allocation_failures() -> None:
    log = KernelLog(
        b"kworker/0:1: page allocation failure: order:4, mode:0x40cc0(GFP_KERNEL|__GFP_COMP),"
        b"nodemask=(null),cpuset=/,mems_allowed=0\n"
    )
    assert allocation_failures(log) == [
        AllocationFailure(None, "kworker/0:1", 4, "GFP_KERNEL|__GFP_COMP")
    ]
