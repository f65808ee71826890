# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's clock, which goes on where its log is silent.

Mirrors ``struct timekeeper`` in ``include/linux/timekeeper_internal.h``, and
``timekeeping_get_ns()`` and ``ktime_get_boottime()`` of ``kernel/time/timekeeping.c`` without the
part since the last tick.
"""

from __future__ import annotations

from drgn import Object, Program, offsetof, sizeof

from ..walk import ReadErrors

_NANOSECONDS = 10**9
_VARIABLES = ("timekeeper_data", "tk_core")
"""What holds the timekeeper of the kernel itself, which is the first of several, if it has
several."""
_ATTEMPTS = 10


def uptime(prog: Program) -> float | None:
    """Seconds from boot to the last tick, suspended time included, as ``/proc/uptime`` has it.

    None if the clock is unreadable, or says what cannot be. A CPU that sleeps does not tick: of a
    kernel whose CPUs are all idle, the last seconds may be missing.
    """
    for _ in range(_ATTEMPTS):
        try:
            told = _read(prog)
        except ReadErrors:
            return None
        if told is not None:
            return told / _NANOSECONDS
    return None


def _read(prog: Program) -> int | None:
    """Nanoseconds; None if the clock was just being set."""
    found = [symbol.address for name in _VARIABLES for symbol in prog.symbols(name)]
    if not found:
        return None
    keeper = Object(prog, "struct timekeeper", address=found[0] + _offset(prog)).read_()
    base = keeper.tkr_mono
    since = int(base.xtime_nsec.value_()) >> int(base.shift.value_())
    monotonic = int(base.base.value_()) + since
    # Both count the same; of a clock that is read under way, they differ.
    if monotonic < 0 or abs(monotonic // _NANOSECONDS - int(keeper.ktime_sec.value_())) > 1:
        return None
    return monotonic + max(int(keeper.offs_boot.value_()), 0)


def _offset(prog: Program) -> int:
    """Offset of the timekeeper behind its sequence counter; the structure had no name once."""
    try:
        return int(offsetof(prog.type("struct tk_data"), "timekeeper"))
    except LookupError:
        return (int(sizeof(prog.type("seqcount_raw_spinlock_t"))) + 7) & ~7
