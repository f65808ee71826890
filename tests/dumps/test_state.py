# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tasks, cgroups, zones, swap and tmpfs, against what the kernel said of them."""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from allocdump.kernel.machine.cgroups import memory_cgroups
from allocdump.kernel.machine.oom import oom_events
from allocdump.kernel.machine.swap import Swap, swap_space
from allocdump.kernel.machine.tasks import tasks
from allocdump.kernel.machine.tmpfs import tmpfs_mounts
from allocdump.kernel.machine.vmstat import VmStat
from allocdump.kernel.machine.zones import zone_states

from ..dumpdata import CORES, core, made, name, open_core, page_size

READABLE = [c for c in CORES if "noprofiling" not in made(c)["kernel"]["configs"]]
WHOLE = [c for c in READABLE if c.suffix != ".d31"]
DAMAGED = core("7.2-quiet", "vmcore.d31")
USER, MEMCG = core("6.12-oom-user"), core("7.2-oom-memcg")

readable = pytest.mark.parametrize("path", READABLE, ids=name)
whole = pytest.mark.parametrize("path", WHOLE, ids=name)

BATCH = 64
"""Pages by which a counter that the kernel did not sum up may be off: percpu_counter_batch
of 32 on each of two CPUs."""


def beside(path: Path, file: str) -> str:
    return (path.parent / file).read_text(errors="replace")


def match(pattern: str, text: str) -> re.Match[str]:
    """The first place in a text of several lines; there must be one."""
    found = re.search(pattern, text, re.MULTILINE)
    assert found, pattern
    return found


@cache
def zoneinfo(path: Path) -> dict[tuple[int, str], dict[str, Any]]:
    """(node, zone): {"free": pages, "min": ...} of populated zones."""
    out = {}
    for part in re.split(r"^Node ", beside(path, "zoneinfo"), flags=re.MULTILINE)[1:]:
        where = match(r"\A(\d+), zone +(\S+)", part)
        pages = part[part.index("pages free") + len("pages ") :]
        numbers: dict[str, Any] = {
            key: int(n) for key, n in re.findall(r"(\w+) +(\d+)$", pages, re.MULTILINE)
        }
        numbers["protection"] = match(r"protection: \((.*)\)", pages)[1]
        if numbers["present"]:
            out[int(where[1]), where[2]] = numbers
    return out


@readable
def test_zones_against_zoneinfo(path: Path) -> None:
    states, problems = zone_states(open_core(path).kernel)
    told = zoneinfo(path)
    assert not problems
    assert {(z.node, z.name) for z in states} == set(told)
    for zone in states:
        pages = told[zone.node, zone.name]
        assert (zone.present, zone.managed) == (pages["present"], pages["managed"])
        # Watermarks are raised for a while when there is too little of some kind of memory.
        assert zone.min - zone.boost == pages["min"] - pages["boost"]
        assert zone.low - zone.min == pages["low"] - pages["min"]
        assert zone.high - zone.min == pages["high"] - pages["min"]
        assert ", ".join(map(str, zone.lowmem_reserve)) == pages["protection"]
        if "oom" not in path.parent.name:
            assert abs(zone.free - pages["free"]) < 0.02 * zone.managed


@readable
def test_free_blocks_are_the_free_pages(path: Path) -> None:
    """Two ways through the same dump: the buddy allocator's lists, and the counters."""
    states, _ = zone_states(open_core(path).kernel)
    for zone in states:
        assert sum(n << order for order, n in enumerate(zone.free_blocks)) == zone.free
    assert sum(z.free for z in states) == VmStat(open_core(path).kernel).zone("NR_FREE_PAGES")
    text = beside(path, "buddyinfo")
    for zone in states:
        blocks = match(rf"Node {zone.node}, zone +{zone.name} +(.*)", text)[1].split()
        assert len(blocks) == len(zone.free_blocks)


def test_blocks_of_an_order() -> None:
    states, _ = zone_states(open_core(MEMCG).kernel)
    told = match(r"zone +DMA32 +(.*)", beside(MEMCG, "buddyinfo"))[1].split()
    assert abs(states[0].blocks_of(10) - int(told[10])) <= 8
    assert states[0].blocks_of(0) == sum(states[0].free_blocks)


def task_table(path: Path) -> dict[int, tuple[list[int], str]]:
    """The out-of-memory killer's own table of tasks: pid to its columns."""
    line = re.compile(r"\[ +(\d+)\] +(\d+) +(\d+) " + r" +(-?\d+)" * 8 + r" (.*)")
    text = beside(path, "console.txt")
    *_, table = re.split(r"^.*Tasks state \(memory values in pages\):$", text, flags=re.MULTILINE)
    rows = {}
    for row in table.splitlines():
        if m := line.search(row):
            rows[int(m[1])] = ([int(n) for n in m.groups()[3:11]], m[12])
    assert rows
    return rows


@pytest.mark.parametrize("path", [core("6.12-oom"), USER, MEMCG], ids=name)
def test_tasks_against_the_table_of_the_oom_killer(path: Path) -> None:
    found = tasks(open_core(path).kernel)
    assert not found.problems
    by_pid = {task.pid: task for task in found.tasks}
    for pid, (numbers, comm) in task_table(path).items():
        _, rss, anon, file, shmem, page_tables, swap, adj = numbers
        task = by_pid[pid]
        assert (task.comm, task.page_tables, task.oom_score_adj) == (comm, page_tables, adj)
        for ours, told in (
            (task.anon, anon), (task.file, file), (task.shmem, shmem), (task.swap, swap)
        ):  # fmt: skip
            assert abs(ours // 4096 - told) <= BATCH
        assert abs(task.rss // 4096 - rss) <= 3 * BATCH


@pytest.mark.parametrize("path", [USER, MEMCG], ids=name)
def test_tasks_against_proc(path: Path) -> None:
    """What was said before the eater went on eating."""
    status: dict[int, dict[str, str]] = {}
    for pid, key, value in re.findall(
        r"^/proc/(\d+)/status:(\w+):\s+(\S+)", beside(path, "tasks"), re.MULTILINE
    ):
        status.setdefault(int(pid), {})[key] = value
    users = {pid: s for pid, s in status.items() if "RssAnon" in s}
    found = {task.pid: task for task in tasks(open_core(path).kernel).tasks}
    assert set(users) <= set(found)
    for pid, told in users.items():
        assert found[pid].comm == told["Name"]
        if told["Name"] != "tail":
            assert abs(found[pid].anon - int(told["RssAnon"]) * 1024) <= BATCH * 4096
    eater = next(t for t in found.values() if t.comm == "tail")
    assert eater == max(found.values(), key=lambda task: task.rss)
    assert eater.anon > int(users[eater.pid]["RssAnon"]) * 1024
    assert eater.cgroup == ("/lab" if path == USER else "/second")


def test_quiet_machines_have_two_tasks() -> None:
    found = tasks(open_core(core("7.3-tiny")).kernel)
    assert sorted(task.comm for task in found.tasks) == ["init", "sh"]
    assert all(task.cgroup == "/" and task.rss > 0 for task in found.tasks)


def test_tasks_of_a_damaged_dump_are_counted() -> None:
    found = tasks(open_core(DAMAGED).kernel)
    assert "the list of tasks is damaged" in str(found.problems[0])
    assert re.fullmatch(r"\d tasks are unreadable", str(found.problems[1]))


def cgroup_files(path: Path) -> dict[str, dict[str, str]]:
    """path: {"memory.current": text}; files of several values have one entry for each."""
    out: dict[str, dict[str, str]] = {}
    for where, file, text in re.findall(
        r"^\.(\S*)/(memory\S+?):(.*)$", beside(path, "cgroups"), re.M
    ):
        key, _, value = text.rpartition(" ")
        out.setdefault(where, {})[f"{file} {key}".strip()] = value
    return out


@pytest.mark.parametrize("path", [USER, MEMCG], ids=name)
def test_cgroups_against_their_files(path: Path) -> None:
    found = memory_cgroups(open_core(path).prog)
    assert not found.problems
    told = cgroup_files(path)
    assert {c.path for c in found.cgroups} == set(told) - {""}
    for group in found.cgroups:
        files = told[group.path]
        limit = files["memory.max"]
        assert group.max == (None if limit == "max" else int(limit))
        assert (group.high, group.swap_max) == (None, None)
        # Events are counted on, and more is used, until the machine dies.
        for ours, file in (
            (group.hits, "memory.events max"),
            (group.oom, "memory.events oom"),
            (group.oom_kill, "memory.events oom_kill"),
            (group.swap, "memory.swap.current"),
        ):
            assert ours >= int(files[file])
    first = next((c for c in found.cgroups if c.path == "/first"), None)
    if first:
        files = told["/first"]
        assert (first.oom, first.oom_kill) == (
            int(files["memory.events oom"]), int(files["memory.events oom_kill"])
        ) == (4, 1)  # fmt: skip


def test_cgroup_usage_is_what_the_dying_kernel_said() -> None:
    event = oom_events(open_core(MEMCG).log)[-1]
    group = next(c for c in memory_cgroups(open_core(MEMCG).prog).cgroups if c.path == "/second")
    assert (group.usage, group.max) == (event.usage, event.limit) == (12 << 20, 12 << 20)


def test_swap_is_what_the_dying_kernel_said() -> None:
    text = beside(USER, "console.txt")
    free, total = (
        int(match(rf"{word} swap *= (\d+)kB", text)[1]) * 1024 for word in ("Free", "Total")
    )
    assert swap_space(open_core(USER).prog) == Swap(total, total - free)
    device = beside(USER, "swaps").splitlines()[1].split()
    assert int(device[2]) * 1024 == total


@pytest.mark.parametrize("path", [MEMCG, core("7.3-tiny")], ids=name)
def test_no_swap(path: Path) -> None:
    """With and without CONFIG_SWAP."""
    assert swap_space(open_core(path).prog) == Swap(0, 0)


@whole
def test_tmpfs_holds_all_shared_memory(path: Path) -> None:
    """Files one by one against the kernel's counter."""
    found = tmpfs_mounts(open_core(path).kernel)
    assert not found.problems
    shmem = VmStat(open_core(path).kernel).node("NR_SHMEM")
    assert shmem is not None
    assert sum(mount.bytes for mount in found.mounts) == shmem * page_size(path)


def test_tmpfs_against_df() -> None:
    mounts = {m.mount: m for m in tmpfs_mounts(open_core(USER).kernel).mounts}
    (line,) = (line for line in beside(USER, "df").splitlines() if line.endswith("/scratch"))
    used = int(line.split()[2])
    scratch = mounts["/scratch"]
    assert scratch.bytes + scratch.swapped == used * 1024
    assert (scratch.files, scratch.swapped > 0) == (2, True)


def test_tmpfs_of_a_damaged_dump() -> None:
    assert len(tmpfs_mounts(open_core(DAMAGED).kernel).problems) >= 1


def seconds(time: float | None) -> str:
    """As the kernel prints it: cut, not rounded."""
    assert time is not None
    return f"{math.floor(time * 1e6) / 1e6:.6f}"


@pytest.mark.parametrize("path", [core("6.12-oom"), USER, MEMCG], ids=name)
def test_events_are_those_on_the_console(path: Path) -> None:
    text = beside(path, "console.txt")
    told = re.findall(r"^\[ *([\d.]+)\] (.*) invoked oom-killer: .*order=(\d+)", text, re.MULTILINE)
    events = oom_events(open_core(path).log)
    assert [(seconds(e.time), e.task, str(e.order)) for e in events] == told
    assert [e.fatal for e in events] == [False] * (len(events) - 1) + [True]
    panic = match(r"^\[ *([\d.]+)\] Kernel panic", text)[1]
    assert seconds(open_core(path).log.uptime()) == panic


def test_the_killed_task_is_the_one_on_the_console() -> None:
    first = oom_events(open_core(MEMCG).log)[0]
    assert first.victim is not None
    said = match(r"Killed process (\d+) \((.*?)\).*anon-rss:(\d+)kB", beside(MEMCG, "console.txt"))
    assert (first.victim.pid, first.victim.comm) == (int(said[1]), said[2])
    assert first.victim.anon == int(said[3]) * 1024
    assert first.cgroup == "/first"
