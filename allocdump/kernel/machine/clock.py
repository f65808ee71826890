# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's clock, which goes on where its log is silent.

Mirrors ``struct timekeeper`` in ``include/linux/timekeeper_internal.h``, and
``timekeeping_get_ns()`` and ``ktime_get_boottime()`` of ``kernel/time/timekeeping.c`` without the
part since the last tick.
"""

from __future__ import annotations

from dataclasses import dataclass

from drgn import Object, Program, offsetof, sizeof

from ..walk import ReadErrors

_NANOSECONDS = 10**9
_VARIABLES = ("timekeeper_data", "tk_core")
"""What holds the timekeeper of the kernel itself, which is the first of several, if it has
several."""
_ATTEMPTS = 10
_RATES = (100, 250, 300, 1000)
"""What CONFIG_HZ can be."""


def uptime(prog: Program) -> float | None:
    """Seconds from boot to the last tick, suspended time included, as ``/proc/uptime`` has it.

    None if the clock is unreadable, or says what cannot be. A CPU that sleeps does not tick: of a
    kernel whose CPUs are all idle, the last seconds may be missing.
    """
    told = _settled(prog)
    return None if told is None else (told.monotonic + told.suspended) / _NANOSECONDS


def log_time(prog: Program) -> float | None:
    """The same by the clock of the kernel log, which stands still while a machine is suspended."""
    told = _settled(prog)
    return None if told is None else told.monotonic / _NANOSECONDS


def tick_rate(prog: Program) -> int | None:
    """Ticks in a second: CONFIG_HZ, by the nanoseconds that each adds to the clock.

    None if the clock is unreadable, or says what cannot be.
    """
    told = _settled(prog)
    rate = round(_NANOSECONDS / told.tick) if told and told.tick > 0 else 0
    return rate if rate in _RATES else None


@dataclass(frozen=True)
class _Clock:
    """In nanoseconds."""

    monotonic: int
    """Since boot."""
    suspended: int
    """Time that is not in it."""
    tick: int
    """What a tick adds."""


def _settled(prog: Program) -> _Clock | None:
    for _ in range(_ATTEMPTS):
        try:
            told = _read(prog)
        except ReadErrors:
            return None
        if told is not None:
            return told
    return None


def _read(prog: Program) -> _Clock | None:
    """The clock; None if it was just being set."""
    found = [symbol.address for name in _VARIABLES for symbol in prog.symbols(name)]
    if not found:
        return None
    keeper = Object(prog, "struct timekeeper", address=found[0] + _offset(prog)).read_()
    base = keeper.tkr_mono
    shift = int(base.shift.value_())
    monotonic = int(base.base.value_()) + (int(base.xtime_nsec.value_()) >> shift)
    # Both count the same; of a clock that is read under way, they differ.
    if monotonic < 0 or abs(monotonic // _NANOSECONDS - int(keeper.ktime_sec.value_())) > 1:
        return None
    tick = int(keeper.xtime_interval.value_()) >> shift
    return _Clock(monotonic, max(int(keeper.offs_boot.value_()), 0), tick)


def _offset(prog: Program) -> int:
    """Offset of the timekeeper behind its sequence counter; the structure had no name once."""
    try:
        return int(offsetof(prog.type("struct tk_data"), "timekeeper"))
    except LookupError:
        return (int(sizeof(prog.type("seqcount_raw_spinlock_t"))) + 7) & ~7
