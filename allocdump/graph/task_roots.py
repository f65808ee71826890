# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tasks as roots, and the part of their stacks that is in use.

Mirrors ``include/linux/sched/task_stack.h``.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from drgn import Object, Program
from drgn.helpers.linux.sched import cpu_curr, task_cpu

from ..arch.base import Architecture
from ..arch.known import plain
from ..arrays import U64
from ..kernel.machine.tasks import every_task
from ..kernel.walk import ReadErrors, is_damage
from ..text import printable
from .nodes import root_code
from .roots import Tier
from .scan import Scanner

_PF_WQ_WORKER = 0x20
"""include/linux/sched.h"""


def scan_tasks(scanner: Scanner) -> list[str]:
    """Note each task, what its stack points at, and registers; return what was unreadable."""
    prog = scanner.memory.prog
    tasks = every_task(prog)
    problems = [str(problem) for problem in tasks.problems]
    size = stack_size(prog)
    missing = unreadable = 0
    for task in tasks:
        try:
            missing += _scan_task(scanner, task, size)
        except Exception as e:
            if not is_damage(e):
                raise
            unreadable += 1
    if unreadable:
        problems.append(f"{unreadable:,} tasks are unreadable, and so are their stacks")
    if missing:
        problems.append(f"{missing:,} pages of stacks are not in the dump")
    return problems


def _scan_task(scanner: Scanner, task: Object, size: int) -> int:
    """Note one task; return how many pages of its stack are not in the dump."""
    heap, links = scanner.heap, scanner.links
    name = f"{printable(task.comm.string_())} [{task.pid.value_()}]"
    base = task.stack.value_()
    address = np.array([task.value_()], np.uint64)
    root = root_code(heap.roots.add(name, Tier.NAMED, "task"))
    links.add(np.array([root]), heap.at(address))
    if not base:
        # A zombie waits for its parent without one: release_task_stack() in kernel/fork.c.
        return 0
    if _is_idle_worker(task):
        links.add(np.array([root]), scanner.pointers.targets(np.array([base], np.uint64)))
        return 0
    named = registers_of(task)
    registers = None if named is None else np.array(list(named.values()), np.uint64)
    if registers is not None:
        code = root_code(heap.roots.add(name, Tier.STACK, "registers"))
        target = scanner.pointers.targets(registers)
        links.add(np.full(len(registers), code, np.int32), target)
    start = stack_pointer(scanner.kernel.arch, task, base, size, registers)
    used = base + size - start
    stack = root_code(heap.roots.add(name, Tier.STACK, "stack", start, used))
    links.add(np.array([stack]), scanner.pointers.targets(np.array([base], np.uint64)))
    missing = _scan_used(scanner, stack, start, used)
    if named and (span := _interrupt_stack(scanner, named, base, size)):
        interrupts = root_code(heap.roots.add(name, Tier.STACK, "interrupt stack", *span))
        missing += _scan_used(scanner, interrupts, *span)
    return missing


def _scan_used(scanner: Scanner, root: int, start: int, size: int) -> int:
    """Note what a stack points at; return how many of its pages are not in the dump."""
    at, target, ok = scanner.scan(start, size)
    scanner.links.add(np.full(len(at), root, np.int32), target)
    return int(np.count_nonzero(~ok))


def _interrupt_stack(
    scanner: Scanner, registers: dict[str, int], base: int, size: int
) -> tuple[int, int] | None:
    """(address, bytes) of what a CPU uses of the stack for its interrupts, while it handles one.

    With CONFIG_VMAP_STACK, such a stack is a vmalloc area: ``init_irq_stacks()`` in
    ``arch/arm64/kernel/irq.c``, ``map_irq_stack()`` in ``arch/x86/kernel/irq_64.c``.

    :param base: the task's own stack
    :param size: bytes of a stack, at most
    """
    pointer = registers.get(scanner.kernel.arch.stack_register, 0) & -8
    if base <= pointer < base + size:
        return None
    for area in (area.vm for area in scanner.heap.areas):
        used = area.size - scanner.kernel.page.bytes  # the last page guards it
        if used <= size and area.start <= pointer < area.start + used:
            return pointer, area.start + used - pointer
    return None


def _is_idle_worker(task: Object) -> bool:
    """A kworker that waits for work needs nothing of its stack: words there are of work done.

    What it is itself, its pool's list of workers holds. Mirrors ``worker_enter_idle()`` in
    ``kernel/workqueue.c``; ``worker_thread()`` takes the mark away before it does anything.
    """
    if not task.flags.value_() & _PF_WQ_WORKER:
        return False
    prog = task.prog_
    try:
        kthread = Object(prog, "struct kthread *", task.worker_private.value_())
        worker = Object(prog, "struct worker *", kthread.data.value_())
        return bool(worker.flags.value_() & prog.constant("WORKER_IDLE").value_())
    except ReadErrors:
        return False  # as before Linux 5.17, and where the dump lacks it


def stack_size(prog: Program) -> int:
    """THREAD_SIZE: that of the boot task's stack, by INIT_TASK_DATA in
    ``include/asm-generic/vmlinux.lds.h``.

    :raises LookupError: if the kernel's symbols do not tell
    """
    for part in ("stack", "task"):  # until Linux 6.9
        with suppress(LookupError):
            start, end = (prog.symbol(f"__{p}_init_{part}").address for p in ("start", "end"))
            return int(end - start)
    raise LookupError("no symbol tells the size of stacks")


def stack_pointer(
    arch: Architecture, task: Object, base: int, size: int, registers: U64 | None
) -> int:
    """Start of the part of a stack that is in use; all of it, where nothing tells."""
    if registers is not None:
        inside = registers[(registers >= base) & (registers < base + size)]
        # What an interrupt's stack returns to is not known: all of it then.
        return int(inside.min()) & -8 if len(inside) else base
    pointer = arch.stack_pointer(task)
    return pointer & -8 if base <= pointer < base + size else base


def registers_of(task: Object) -> dict[str, int] | None:
    """Registers of a task that was on a CPU; None for others, none if they were not saved."""
    prog = task.prog_
    try:
        current = cpu_curr(prog, task_cpu(task)).value_()
        if plain(prog, current) != plain(prog, task.value_()):
            return None
        found = prog.stack_trace(task)[0].registers()
    except ReadErrors:
        return {}
    return {name: value for name, value in found.items() if value < 1 << 64}
