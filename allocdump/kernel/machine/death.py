# SPDX-License-Identifier: LGPL-2.1-or-later
"""The task that the kernel died in, and how it came there; taints, and parameters of memory.

Mirrors ``print_tainted()`` and ``vpanic()`` in ``kernel/panic.c``, and ``dump_stack_print_info()``
in ``lib/dump_stack.c``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drgn import Program

from ...text import printable
from ..walk import ReadErrors, is_damage
from .log import KernelLog

_MOST_FRAMES = 16
_KERNEL = 1 << 63
"""Addresses of the kernel are in the upper half."""
_MOST_PARAMETERS = 1000
"""Characters; a command line has at most some thousands."""

_TRACE = re.compile(rb"^Call [Tt]race:(?P<frames>(?:\n .*)*)", re.MULTILINE)
_FRAME = re.compile(
    rb"^ +(?P<name>[^\s?+<]\S*?)\+0x[0-9a-f]+/0x[0-9a-f]+(?P<module> \[[^\]\s]+\])?", re.MULTILINE
)
_WHO = re.compile(
    rb"^CPU: \d+ (?:UID: \d+ )?PID: (?P<pid>\d+) Comm: (?P<comm>.{1,15}?) "
    rb"(?:Kdump:|Tainted:|Not tainted)",
    re.MULTILINE,
)
_PANIC = re.compile(rb"^Kernel panic - not syncing: ", re.MULTILINE)
_LED_TO = (
    (re.compile(rb"^.{0,15} invoked oom-killer: ", re.MULTILINE), b"memory"),
    (re.compile(rb"^(?:BUG|Oops|general protection fault)\b.*", re.MULTILINE), b"Fatal exception"),
)
"""Messages with a trace of their own, and a word of the panic that they lead to."""


@dataclass(frozen=True)
class Death:
    """A task that panicked."""

    task: str
    pid: int
    frames: tuple[str, ...]
    """Functions from the innermost one on; empty if nothing tells."""


def death(prog: Program, log: KernelLog) -> Death | None:
    """The task that panicked, with its stack; None if there was no panic.

    The kernel's own trace, in its log, is taken where the stack says less: without tables for
    unwinding, drgn does not get far.
    """
    name, pid, frames = _on_stack(prog)
    logged = _in_log(log.text)
    if logged is not None:
        name, pid = name or logged.task, pid or logged.pid
        frames = max(frames, logged.frames, key=len)
    return Death(name, pid, frames) if name else None


def _on_stack(prog: Program) -> tuple[str, int, tuple[str, ...]]:
    """Name, pid and frames, as far as drgn tells; it is not about a kernel that runs."""
    try:
        thread = prog.crashed_thread()
        name, pid = printable(thread.object.comm.string_()), int(thread.object.tgid.value_())
    except ReadErrors:
        return "", 0, ()
    frames: list[str] = []
    try:
        for frame in thread.stack_trace():
            # What is no function is where unwinding went astray; 0 is a per-CPU symbol.
            if frame.pc < _KERNEL:
                break
            frames.append(printable(prog.symbol(frame.pc).name.encode()))
            if len(frames) == _MOST_FRAMES:
                break
    except Exception as e:
        if not is_damage(e):
            raise
    return name, pid, tuple(frames)


def _in_log(text: bytes) -> Death | None:
    panic = _PANIC.search(text)
    if panic is None:
        return None
    end = text.find(b"\n", panic.start())
    why = text[panic.start() : end if end >= 0 else len(text)]
    start = panic.start()
    for message, word in _LED_TO:
        before = list(message.finditer(text, 0, panic.start()))
        if before and word in why:
            start = before[-1].start()
            break
    who, trace = _WHO.search(text, start), _TRACE.search(text, start)
    if who is None:
        return None
    names = []
    for m in _FRAME.finditer(trace["frames"]) if trace else ():
        names.append(printable(m["name"] + (m["module"] or b"")))
    return Death(printable(who["comm"]), int(who["pid"]), tuple(names[:_MOST_FRAMES]))


def taint(prog: Program) -> str:
    """``W (WARN), O (OOT_MODULE)``: flags that are set, with their names where there are any;
    empty if none is, or nothing tells."""
    out = []
    try:
        mask = int(prog["tainted_mask"].value_())
        for bit, flag in enumerate(prog["taint_flags"]):
            if mask >> bit & 1:
                letter = printable(flag.c_true.value_().to_bytes(1, "little"))
                named = flag.type_.has_member("desc")
                name = f" ({printable(flag.desc.string_())})" if named else ""
                out.append(letter + name)
    except ReadErrors:
        pass
    return ", ".join(out)


_STEMS = (
    "alloc", "cgroup", "cma", "crashkernel", "free", "huge", "kasan", "kernelcore", "kfence",
    "kmemleak", "mem", "movable", "numa", "oom", "page", "percpu", "shmem", "slab", "slub", "swap",
    "thp", "vm", "zram", "zswap",
)  # fmt: skip
_WORD = re.compile(r"[^a-z0-9]+")


def memory_parameters(prog: Program) -> str:
    """Parameters on the command line that are about memory: one of the words in their names begins
    with one of a few stems."""
    try:
        line = printable(prog["saved_command_line"].string_())
    except ReadErrors:
        return ""
    found = [p for p in line.split() if _about_memory(p.partition("=")[0].lower())]
    return " ".join(found)[:_MOST_PARAMETERS]


def _about_memory(name: str) -> bool:
    return any(word.startswith(_STEMS) for word in _WORD.split(name))
