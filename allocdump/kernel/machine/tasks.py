# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tasks and the memory that each has.

Mirrors ``dump_task()`` in ``mm/oom_kill.c`` and ``get_mm_rss()`` in ``include/linux/mm.h``. The
counters lie as :class:`.layouts.RssCounters` says. Where they are not per CPU, up to 64 pages of
each thread are in none of them (``TASK_RSS_EVENTS_THRESH`` in ``mm/memory.c``), as in the kernel's
own lists.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from drgn import FaultError, Object, Program, offsetof, sizeof
from drgn.helpers.linux.pid import pid_task
from drgn.helpers.linux.sched import idle_task

from ...arrays import U64
from ...problems import Code, Problem
from ...text import printable
from ..kernel import Kernel, online_cpus, possible_cpus
from ..layouts import RssCounters
from ..walk import (
    ReadErrors,
    Walked,
    as_found,
    idr_entries,
    is_damage,
    list_entries,
    structure,
    walk,
)
from .cgroups import path_of
from .percpu_counter import sum_percpu_counters

_PF_KTHREAD = 0x200000
_PROCESSES = structure("processes", "task", many=True)
_LEADERS = structure("the list of tasks", "task")
_PIDS = structure("the table of pids", "pid")
_IDLE = structure("the mask of online CPUs", "idle task")
_THREADS = structure("the list of threads", "thread")
_COUNTERS = ("MM_FILEPAGES", "MM_ANONPAGES", "MM_SHMEMPAGES", "MM_SWAPENTS")


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
    problems: list[Problem] = field(default_factory=list)


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
    prog, paths = kernel.prog, dict[int, str]()
    leaders = thread_leaders(prog)
    processes = walk(prog, _PROCESSES, lambda: leaders, lambda leader: _process(leader, paths))
    found = processes.found
    out = Tasks(problems=leaders.problems + processes.problems)
    try:
        counters = _rss(kernel, np.array([p.mm for p in found], np.uint64))
    except Exception as e:
        if not is_damage(e):
            raise
        out.problems.append(Problem(Code.UNREADABLE, "the memory of tasks", str(e)))
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


def thread_leaders(prog: Program) -> Walked[Object]:
    """The leader of each thread group: ``for_each_process()``, else by their pids."""
    on_list = _on_list(prog)
    if not on_list.problems:
        return on_list
    by_pid = _by_pid(prog, "PIDTYPE_TGID")
    return Walked(_joined(on_list, by_pid), on_list.problems + by_pid.problems)


def every_task(prog: Program) -> Walked[Object]:
    """All threads of all processes and the idle tasks, as ``struct task_struct *``.

    By their pids; where the table of these is damaged, by the lists of tasks and of threads.
    """
    idle = walk(prog, _IDLE, lambda: online_cpus(prog), lambda cpu: idle_task(prog, cpu))
    by_pid = _by_pid(prog, "PIDTYPE_PID")
    problems = idle.problems + by_pid.problems
    if not by_pid.problems:
        return Walked(idle.found + by_pid.found, problems)
    leaders = _on_list(prog)
    groups = walk(prog, _PROCESSES, lambda: leaders, threads_of)
    problems += leaders.problems + groups.problems
    for threads in groups:
        problems += threads.problems
    return Walked(_joined(idle, by_pid, leaders, *groups), problems)


def stacks(prog: Program) -> set[int] | None:
    """Addresses of the stacks of all tasks; None where not all can be told.

    Tasks that have ended, and stacks that CPUs keep for the next ones, are not among them:
    ``exit_task_stack_account()`` and ``cached_stacks`` in ``kernel/fork.c``.
    """
    tasks = every_task(prog)
    idle = walk(prog, _IDLE, lambda: possible_cpus(prog), lambda cpu: idle_task(prog, cpu))
    if tasks.problems or idle.problems:
        return None
    try:
        return {
            task.stack.value_()
            for task in _joined(tasks, idle)
            if task.exit_state.value_() == 0 and task.stack
        }
    except ReadErrors:
        return None


def _joined(*parts: Walked[Object]) -> list[Object]:
    """Each task once."""
    return list({task.value_(): task for part in parts for task in part}.values())


def _on_list(prog: Program) -> Walked[Object]:
    """Leaders of thread groups, by the list that all are on."""
    return walk(
        prog,
        _LEADERS,
        lambda: list_entries("struct task_struct", prog["init_task"].tasks.address_of_(), "tasks"),
        as_found,
    )


def _by_pid(prog: Program, kind: str) -> Walked[Object]:
    """The task of each pid that is in use as a *kind*."""

    def task(pid: Object) -> Object | None:
        return pid_task(pid, prog.constant(kind)) or None

    return walk(prog, _PIDS, lambda: idr_entries(prog["init_pid_ns"].idr, "struct pid"), task)


def threads_of(leader: Object) -> Walked[Object]:
    """All threads of a process."""
    prog, head = leader.prog_, leader.signal.thread_head.address_of_()
    return walk(
        prog, _THREADS, lambda: list_entries("struct task_struct", head, "thread_node"), as_found
    )


def _process(leader: Object, paths: dict[int, str]) -> _Found | None:
    """None for what has no memory of its own: kernel threads, and tasks that have exited."""
    if leader.flags.value_() & _PF_KTHREAD:
        return None
    mm: Object | None = leader.mm.read_()
    if not mm:
        # The leader has exited, others may live: find_lock_task_mm().
        threads = threads_of(leader)
        mm = next((mm for thread in threads if (mm := thread.mm.read_())), None)
        if threads.problems and not mm:
            raise FaultError(str(threads.problems[0]), leader.value_())
        if not mm:
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
            paths[css_set.value_()] = path_of(css_set.subsys[memory].cgroup)
        return paths[css_set.value_()]
    except ReadErrors:
        return ""


def _rss(kernel: Kernel, mm: U64) -> list[list[int]]:
    """File, anonymous and shared memory and swap of each mm, in bytes."""
    prog = kernel.prog
    start = offsetof(prog.type("struct mm_struct"), "rss_stat")
    percpu = kernel.layouts[RssCounters] is RssCounters.PERCPU
    step = sizeof(prog.type("struct percpu_counter" if percpu else "atomic_long_t"))
    offsets = [start + step * prog.constant(name).value_() for name in _COUNTERS]
    addresses = mm[:, None] + np.array(offsets, np.uint64)
    if percpu:
        pages = sum_percpu_counters(kernel, addresses.ravel())
    else:
        pages = kernel.memory.words(addresses.ravel())[0].view(np.int64)
    pages = pages.reshape(addresses.shape)
    # percpu_counter_sum_positive(), get_mm_counter()
    sizes: list[list[int]] = (np.maximum(pages, 0) * kernel.page.bytes).tolist()
    return sizes
