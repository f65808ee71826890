# SPDX-License-Identifier: LGPL-2.1-or-later
"""Addresses that entries of page tables map, and the tasks whose tables they are in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..arrays import U64
from ..kernel.kernel import Kernel
from ..kernel.machine.tasks import every_task
from ..kernel.mm.page_tables import Level, PageTables
from ..kernel.mm.sections import sections
from ..kernel.walk import ReadErrors
from ..text import printable

_USER_HALF = (1 << 63) - 1
_KERNEL = "kernel"
_ENTRY = 8


@dataclass(frozen=True)
class Mapped:
    """Mapping by an entry."""

    address: int | None
    """Virtual address; None if no tables lead to the entry."""
    task: str
    """A task whose address space it is in; ``kernel``, or empty if none was found."""

    def detail(self) -> dict[str, object]:
        """Details of a layer."""
        out: dict[str, object] = {}
        if self.address is not None:
            out["maps"] = f"{self.address:#x}"
        if self.task:
            out["task"] = self.task
        return out


class PageTableEntries:
    """Finds the way from top tables to entries."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.prog = kernel, kernel.prog
        self._tables = PageTables(kernel)
        self._format = kernel.arch.tables

    @cached_property
    def _spaces(self) -> dict[int, str]:
        """Top tables of user space, and a task that has each."""
        found: dict[int, str] = {}
        for task in every_task(self.prog):
            try:
                mm = task.mm.read_()
                if mm:
                    name = f"{printable(task.comm.string_())} [{task.pid.value_()}]"
                    found.setdefault(mm.pgd.value_(), name)
            except ReadErrors:
                continue
        return found

    @cached_property
    def _of_users(self) -> list[Level]:
        tops = np.array(list(self._spaces), np.uint64)
        return list(self._tables.walk(tops, 0, _USER_HALF, leaves=False))

    @cached_property
    def _of_kernel(self) -> list[Level]:
        top = self.kernel.vmcoreinfo.symbol("swapper_pg_dir")
        if not top:
            return []
        tops = np.array([top], np.uint64)
        return list(self._tables.walk(tops, self._format.upper_half, (1 << 64) - 1, leaves=False))

    def mapped(self, places: U64) -> list[Mapped]:
        """Mappings by the entries at some addresses in the direct map: shape (n,)."""
        return [self._mapped(place - self.kernel.direct_map) for place in places.tolist()]

    def in_direct_map(self, entry: Mapped) -> bool:
        """Tell whether an entry is of the direct map."""
        if entry.address is None or entry.task != _KERNEL:
            return False
        return 0 <= entry.address - self.kernel.direct_map < self._memory

    @cached_property
    def _memory(self) -> int:
        """Bytes of the direct map."""
        ends = (s.pfn + s.pages for s in sections(self.kernel))
        return int(max(ends, default=0)) << self._format.page.shift

    def _mapped(self, place: int) -> Mapped:
        page = self._format.page.bytes
        table, index = place & -page, (place & page - 1) // _ENTRY
        for levels, task in ((self._of_users, ""), (self._of_kernel, _KERNEL)):
            for depth, level in enumerate(levels):
                hit = np.flatnonzero(level.is_table & (level.target == np.uint64(table)))
                if len(hit):
                    virtual = int(level.virtual[hit[0]])
                    address = virtual + (index << self._shift(depth + 1))
                    return Mapped(address, task or self._task(levels, depth, int(hit[0])))
        return Mapped(None, "")

    def _shift(self, depth: int) -> int:
        """Bits of an address below those that select an entry of a table; the top's depth is 0."""
        return self._format.shift(self._format.levels - 1 - depth)

    def _task(self, levels: list[Level], depth: int, row: int) -> str:
        """A task from whose top table the way leads to an entry."""
        virtual = int(levels[depth].virtual[row])
        while depth:
            parent = levels[depth].table[row]
            depth -= 1
            above = levels[depth]
            hit = np.flatnonzero(above.is_table & (above.target == parent))
            if not len(hit):
                return ""
            row = int(hit[0])
        tops = np.array(list(self._spaces), np.uint64)
        index = virtual >> self._shift(0) & (1 << self._format.index_bits[-1]) - 1
        entries, _ = self.kernel.memory.words(tops + np.uint64(index * _ENTRY))
        found = np.flatnonzero(self._format.physical(entries) == levels[0].target[row])
        return list(self._spaces.values())[int(found[0])] if len(found) else ""
