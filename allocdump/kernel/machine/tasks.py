# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tasks and the memory that each has.

Mirrors ``dump_task()`` in ``mm/oom_kill.c`` and ``get_mm_rss()`` in ``include/linux/mm.h``. The
counters are ``struct percpu_counter`` since Linux 6.2 (commit f1a7941243c1 "mm: convert mm's
rss stats into percpu_counter").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from drgn import Object, Program, offsetof, sizeof
from drgn.helpers.linux.cgroup import cgroup_path
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.pid import for_each_pid, pid_task

from ...source.memory import U64
from ...text import printable
from ..kernel import Kernel
from ..walk import ReadErrors
from .percpu_counter import sum_percpu_counters

_PF_KTHREAD = 0x200000
_MAX_TASKS = 1 << 22
"""PID_MAX_LIMIT: a list that is longer goes in circles."""
_COUNTERS = ("MM_FILEPAGES", "MM_ANONPAGES", "MM_SHMEMPAGES", "MM_SWAPENTS")
_PAGE = 4096


@dataclass(frozen=True)
class Task:
    """A process; sizes in bytes. Processes that share memory show the same."""

    pid: int
    """Of the thread group."""
    comm: str
    anon: int
    file: int
    shmem: int
    swap: int
    page_tables: int
    oom_score_adj: int
    cgroup: str
    """Path of its memory cgroup; empty if it has none."""

    @property
    def rss(self) -> int:
        return self.anon + self.file + self.shmem


@dataclass
class Tasks:
    """All processes but kernel threads, largest first (RSS and swap), as far as could be read."""

    tasks: list[Task] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass
class _Found:
    """A process whose counters are not read yet."""

    pid: int
    comm: str
    mm: int
    page_tables: int
    oom_score_adj: int
    cgroup: str


def tasks(kernel: Kernel) -> Tasks:
    """Read all processes; where their list is damaged, by their pids."""
    out = Tasks()
    found: list[_Found] = []
    paths: dict[int, str] = {}
    lost = 0
    for leader in _leaders(kernel.prog, out.problems):
        try:
            process = _process(leader, paths)
        except ReadErrors:
            lost += 1
            continue
        if process:
            found.append(process)
    if lost:
        out.problems.append(f"{lost:,} tasks are unreadable")
    try:
        counters = _rss(kernel, np.array([p.mm for p in found], np.uint64))
    except ReadErrors as e:
        out.problems.append(f"the memory of tasks is unreadable: {e}")
        return out
    for process, (file, anon, shmem, swap) in zip(found, counters, strict=True):
        out.tasks.append(
            Task(
                process.pid, process.comm, anon, file, shmem, swap,
                process.page_tables, process.oom_score_adj, process.cgroup,
            )
        )  # fmt: skip
    out.tasks.sort(key=lambda task: -(task.rss + task.swap))
    return out


def _leaders(prog: Program, problems: list[str]) -> Iterator[Object]:
    """The leader of each thread group: ``for_each_process()``, else by their pids."""
    seen: set[int] = set()
    try:
        for task in list_for_each_entry(
            "struct task_struct", prog["init_task"].tasks.address_of_(), "tasks"
        ):
            if task.value_() in seen or len(seen) > _MAX_TASKS:
                raise ValueError("it goes in circles")
            # The link that comes next tells whether the task is there.
            task.tasks.next.read_()
            seen.add(task.value_())
            yield task
        return
    except ReadErrors as e:
        problems.append(f"the list of tasks is damaged: {e}")
    try:
        kind = prog.constant("PIDTYPE_TGID")
        for pid in for_each_pid(prog):
            leader = pid_task(pid, kind)
            if leader and leader.value_() not in seen:
                yield leader
    except ReadErrors as e:
        problems.append(f"the table of pids is damaged: {e}")


def _process(leader: Object, paths: dict[int, str]) -> _Found | None:
    """None for what has no memory of its own: kernel threads, and tasks that have exited."""
    if leader.flags.value_() & _PF_KTHREAD:
        return None
    mm = leader.mm.read_()
    if not mm:
        # The leader has exited, others may live: find_lock_task_mm().
        threads = leader.signal.thread_head.address_of_()
        for thread in list_for_each_entry("struct task_struct", threads, "thread_node"):
            mm = thread.mm.read_()
            if mm:
                break
        else:
            return None
    return _Found(
        leader.tgid.value_(),
        printable(leader.comm.string_()),
        mm.value_(),
        mm.pgtables_bytes.counter.value_(),
        leader.signal.oom_score_adj.value_(),
        _cgroup(leader, paths),
    )


def _cgroup(task: Object, paths: dict[int, str]) -> str:
    try:
        prog, css_set = task.prog_, task.cgroups.read_()
        if css_set.value_() not in paths:
            memory = prog.constant("memory_cgrp_id").value_()
            path = cgroup_path(css_set.subsys[memory].cgroup)
            paths[css_set.value_()] = printable(path)
        return paths[css_set.value_()]
    except ReadErrors:
        return ""


def _rss(kernel: Kernel, mm: U64) -> list[list[int]]:
    """File, anonymous and shared memory and swap of each mm, in bytes."""
    prog = kernel.prog
    start = offsetof(prog.type("struct mm_struct"), "rss_stat")
    step = sizeof(prog.type("struct percpu_counter"))
    offsets = [start + step * prog.constant(name).value_() for name in _COUNTERS]
    addresses = mm[:, None] + np.array(offsets, np.uint64)
    pages = sum_percpu_counters(kernel, addresses.ravel()).reshape(addresses.shape)
    # percpu_counter_sum_positive()
    sizes: list[list[int]] = (np.maximum(pages, 0) * _PAGE).tolist()
    return sizes
