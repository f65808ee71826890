# SPDX-License-Identifier: LGPL-2.1-or-later
"""Last events of one allocation: who allocated and who freed it, when, and in which code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...problems import Problem
from ..machine.clock import log_time, tick_rate
from ..machine.code_names import CodeNames, Place
from ..walk import ReadErrors
from .kept import KeptStacks
from .page_owner import comm_of


@dataclass(frozen=True)
class Event:
    """An allocation, or a free."""

    what: str
    """``allocated``, ``freed``"""
    source: str
    """Keeper of the stack: ``page_owner``, ``slub_debug``, ``kasan``."""
    stack: tuple[Place, ...]
    """Return addresses, the innermost first; empty if none was kept, or it is unreadable."""
    pid: int | None
    """Of the thread; None where the kernel does not keep it, as for all others here."""
    tgid: int | None = None
    comm: str | None = None
    """Name of the task, as it was then."""
    cpu: int | None = None
    seconds: float | None = None
    """Since boot, by the clock of the kernel log."""
    age: float | None = None
    """Seconds from then to the end, or to now; None if the clocks do not tell."""


class Histories:
    """Tells the history of single allocations."""

    def __init__(self, kept: KeptStacks, code: CodeNames) -> None:
        self.kept, self.code = kept, code
        self.problems: list[Problem] = []
        """Stacks that could not be read, of the last answers."""
        prog = kept.kernel.prog
        self._now = log_time(prog) if kept else None
        self._rate = tick_rate(prog) if kept else None

    def of_page(self, pfn: int) -> list[Event]:
        """Of a page: its allocation; and that it was freed, if it is free."""
        reader = self.kept.pages
        if reader is None:
            return []
        owner = reader.owners(np.array([pfn], np.int64))
        if not owner.known[0]:
            return []
        comm = comm_of(owner.comm[0]) or None
        handles = [int(owner.handle[0]), int(owner.free_handle[0])]
        stacks = [self._stack(0 if handle in reader.none else handle) for handle in handles]
        pids = (owner.pid, owner.tgid), (owner.free_pid, owner.free_tgid)
        (pid, tgid), (free_pid, free_tgid) = ((_pid(p[0]), _pid(t[0])) for p, t in pids)
        time, free_time = owner.time[0] / 1e9, owner.free_time[0] / 1e9
        source = "page_owner"
        out = [
            Event(
                "allocated", source, stacks[0], pid, tgid, comm,
                seconds=time, age=self._since(self._now, time),
            )
        ]  # fmt: skip
        if not owner.allocated[0]:
            out.append(
                Event(
                    "freed", source, stacks[1], free_pid, free_tgid,
                    seconds=free_time, age=self._since(self._now, free_time),
                )
            )  # fmt: skip
        return out

    def of_object(self, address: int, cache: int, *, free: bool) -> list[Event]:
        """Of a slab object: its allocation; and that it was freed, if it is free."""
        return self._of_kasan(address, cache, free) + self._of_user(address, cache, free)

    def _of_kasan(self, address: int, cache: int, free: bool) -> list[Event]:
        reader = self.kept.kasan
        if reader is None:
            return []
        out = []
        for what in ("allocated", "freed")[: 1 + free]:
            where = np.array([address], np.uint64), np.array([cache], np.int32)
            track = reader.tracks(*where, freed=what == "freed")
            if not track.known[0]:
                continue
            time, cpu = int(track.time[0]) / 1e9, int(track.cpu[0])
            out.append(
                Event(
                    what, "kasan", self._stack(int(track.handle[0])), _pid(track.pid[0]),
                    cpu=None if cpu < 0 else cpu, seconds=time or None,
                    age=self._since(self._now, time),
                )
            )  # fmt: skip
        return out

    def _of_user(self, address: int, cache: int, free: bool) -> list[Event]:
        reader = self.kept.objects
        if reader is None:
            return []
        out = []
        for what in ("allocated", "freed")[: 1 + free]:
            where = np.array([address], np.uint64), np.array([cache], np.int32)
            track = reader.tracks(*where, freed=what == "freed")
            if not track.known[0]:
                continue
            age = None
            now = self._ticks()
            if now is not None and self._rate:
                age = self._since(now, int(track.time[0]) / self._rate)
            stack = self._stack(int(track.handle[0])) or (self.code[int(track.address[0])],)
            seconds = self._now - age if self._now is not None and age is not None else None
            out.append(
                Event(
                    what, "slub_debug", stack, _pid(track.pid[0]), cpu=int(track.cpu[0]),
                    seconds=seconds, age=age,
                )
            )  # fmt: skip
        return out

    def _stack(self, handle: int) -> tuple[Place, ...]:
        if not handle:
            return ()
        stacks = self.kept.stacks(np.array([handle], np.uint32))
        self.problems += [p for p in stacks.problems if p not in self.problems]
        return tuple(self.code[address] for address in stacks[0])

    def _ticks(self) -> float | None:
        """Seconds by the kernel's count of ticks."""
        try:
            ticks = int(self.kept.kernel.prog["jiffies"].value_())
        except ReadErrors:
            return None
        return ticks / self._rate if self._rate else None

    @staticmethod
    def _since(now: float | None, then: float) -> float | None:
        """Seconds between two times, as far as they can be true."""
        if now is None or not then:
            return None
        since = now - then
        return max(since, 0.0) if since > -_TICK else None


_TICK = 1.0
"""Seconds that the clocks of a machine may be apart."""


def _pid(number: np.int64) -> int | None:
    return int(number) if number >= 0 else None
