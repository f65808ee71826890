# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel log: facts that nothing else in a dump keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest

from drgn import Program

from ...problems import Problem
from ...result import Result, Values, column
from ...text import printable
from .printk import printk_records

# lib/alloc_tag.c: alloc_tag_module_unload() in 6.10-6.12, release_module_tags() since.
_UNLOAD = re.compile(
    rb"^(?P<file>\S+):(?P<line>\d+) module (?P<module>\S+) func:(?P<function>\S+)"
    rb" has (?P<bytes>\d+) allocated at module unload",
    re.MULTILINE,
)
_PANIC = re.compile(rb"Kernel panic - not syncing: .*")
# What led to "not syncing: Fatal exception": the fault itself says more. Other lines that begin
# with "BUG:" (lockups, lists of locks, KASAN) end nothing by themselves.
_FAULT = re.compile(
    rb"BUG: (?:[Uu]nable to handle|[Kk]ernel NULL pointer|.* stack guard page was hit).*"
    rb"|Unable to handle kernel .*|[Kk]ernel BUG at .*|Oops: .*|"
    rb"(?:general protection fault|divide error|stack segment)\b.*"
)
_LINES_OF_A_FAULT = 8
"""A fault is described in so many lines, of which the one with ``Oops:`` is the last."""


@dataclass(frozen=True)
class UnloadMessage:
    """ "FILE:LINE module MODULE func:FUNCTION has BYTES allocated at module unload" """

    file: str
    line: int
    module: str
    function: str
    bytes: int


@dataclass(frozen=True)
class KernelLog(Result):
    """The kernel log buffer as text.

    *text* is empty and *error* says why if it could not be read.
    """

    text: bytes
    error: str = ""
    times: tuple[int, ...] = ()
    """Nanoseconds since boot of each line of *text*; empty if nothing tells."""
    problems: tuple[Problem, ...] = ()
    """Its missing parts."""

    def to_dict(self) -> dict[str, Values]:
        """Lines as columns: ``seconds`` since boot, None if nothing tells, and ``text``."""
        lines = self.text.splitlines()
        seconds = [
            time if time is None else time / 1e9
            for time, _ in zip_longest(self.times[: len(lines)], lines)
        ]
        return {"seconds": column(seconds), "text": column(list(map(printable, lines)))}

    def in_short(self) -> str:
        return self.error or f"{len(self.text.splitlines()):,} lines"

    def time(self, offset: int) -> float | None:
        """Seconds since boot of what is at an offset in *text*."""
        line = self.text.count(b"\n", 0, offset)
        return self.times[line] / 1e9 if line < len(self.times) else None

    def uptime(self) -> float | None:
        """Seconds from boot to the panic, or to the last line if there was none."""
        panic = _PANIC.search(self.text)
        return self.time(panic.start() if panic else len(self.text))

    def panic_message(self, alive: bool = False) -> str:
        """Reason of the kernel's death, in its own words; empty if the log does not say.

        :param alive: it may run still: a fault, which may have killed a task only, is no reason
        """
        panic = _PANIC.search(self.text)
        if panic is None and alive:
            return ""
        if panic is None or b"Fatal exception" in panic[0]:
            panic = self._last_fault(panic.start() if panic else len(self.text)) or panic
        return printable(panic[0].strip()) if panic else ""

    def _last_fault(self, end: int) -> re.Match[bytes] | None:
        """The first line of the last fault up to an offset in *text*."""
        *before, last = None, *_FAULT.finditer(self.text, 0, end)
        first = before[-1] if before else None
        if last and first and last[0].startswith(b"Oops: "):
            lines = self.text.count(b"\n", first.start(), last.start())
            if lines < _LINES_OF_A_FAULT and not first[0].startswith(b"Oops: "):
                return first
        return last

    def unload_messages(self) -> list[UnloadMessage]:
        """Memory that modules left behind at their unload, in order."""
        return [
            UnloadMessage(
                printable(m["file"]),
                int(m["line"]),
                printable(m["module"]),
                printable(m["function"]),
                int(m["bytes"]),
            )
            for m in _UNLOAD.finditer(self.text)
        ]


def kernel_log(prog: Program) -> KernelLog:
    """Read the kernel log; never raises for a damaged one."""
    records = printk_records(prog)
    if records.problems and not records.found:
        return KernelLog(b"", records.problems[0].detail or str(records.problems[0]))
    times = (r.time for r in records for _ in range(r.text.count(b"\n") + 1))
    text = b"\n".join(r.text for r in records)
    return KernelLog(text, times=tuple(times), problems=tuple(records.problems))
