# SPDX-License-Identifier: LGPL-2.1-or-later
"""Page tables, many entries at once, in the formats of :mod:`allocdump.arch`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...arch.base import TableFormat
from ...arrays import U64
from ..kernel import Kernel

_BATCH = 256 << 10
"""Entries that are read together."""


@dataclass
class Level:
    """Entries that point at something; columns of shape (number of entries,)."""

    virtual: U64
    """First virtual address that they map."""
    table: U64
    """Physical address of the table that an entry is in; 0 for the top."""
    target: U64
    """Physical address that it points at."""
    is_table: npt.NDArray[np.bool_]
    """The target is another table, not memory that is mapped."""
    pages: int
    """Page frames that an entry maps which points at memory."""


class PageTables:
    """Walks the page tables of a kernel and of its tasks."""

    def __init__(self, kernel: Kernel) -> None:
        self.memory, self.format = kernel.memory, kernel.arch.tables
        self.direct_map = np.uint64(kernel.direct_map)

    def walk(self, tops: U64, low: int, high: int, leaves: bool) -> Iterator[Level]:
        """Entries for virtual addresses from *low* up to *high*, level by level.

        :param tops: virtual addresses of top tables, shape (n,)
        :param low: an address of the kernel if *tops* are the kernel's
        :param leaves: read the last level, too, whose entries are of single pages
        """
        upper = low >= self.format.upper_half
        address, table = tops, np.zeros(len(tops), np.uint64)
        base: U64 | None = None
        for level in range(self.format.levels - 1, -1 if leaves else 0, -1):
            parts = []
            count = max(1, _BATCH >> self.format.index_bits[level])
            for at in range(0, len(address), count):
                some = slice(at, at + count)
                virtual = self._virtual(base, some, level, upper, len(address[some]))
                found = self._entries(address[some], table[some], virtual, level)
                parts.append(_within(found, self.format.shift(level), low, high))
            joined = _join(parts, self.format, level)
            yield joined
            down = joined.is_table
            table, base = joined.target[down], joined.virtual[down]
            # A table is looked at once, however many times it is mapped.
            table, first = np.unique(table, return_index=True)
            base = base[first]
            address = table + self.direct_map

    def _virtual(self, base: U64 | None, some: slice, level: int, upper: bool, tables: int) -> U64:
        """First addresses that the entries of some tables map: shape (tables, entries)."""
        index = np.arange(1 << self.format.index_bits[level], dtype=np.uint64)
        if base is None:
            return np.broadcast_to(self.format.virtual(index, upper), (tables, len(index)))
        return base[some, None] + (index << np.uint64(self.format.shift(level)))

    def _entries(self, address: U64, table: U64, virtual: U64, level: int) -> Level:
        count = virtual.shape[1]
        offset = np.arange(count, dtype=np.uint64) * np.uint64(8)
        entries, _ = self.memory.words((address[:, None] + offset).ravel())
        rows = np.flatnonzero(self.format.present(entries))
        # On the last level the bit means something else.
        is_table = self.format.leads_on(entries[rows]) & (level > 0)
        return Level(
            virtual.ravel()[rows],
            np.repeat(table, count)[rows],
            self.format.physical(entries[rows]),
            is_table,
            self.format.pages(level),
        )


def _within(found: Level, shift: int, low: int, high: int) -> Level:
    last = found.virtual + np.uint64((1 << shift) - 1)
    rows = np.flatnonzero((last >= np.uint64(low)) & (found.virtual <= np.uint64(high)))
    return Level(
        found.virtual[rows],
        found.table[rows],
        found.target[rows],
        found.is_table[rows],
        found.pages,
    )


def _join(parts: list[Level], format_: TableFormat, level: int) -> Level:
    pages = format_.pages(level)
    if not parts:
        none = np.zeros(0, np.uint64)
        return Level(none, none, none, np.zeros(0, np.bool_), pages)
    virtual, table, target = (
        np.concatenate([getattr(p, name) for p in parts]) for name in ("virtual", "table", "target")
    )
    return Level(virtual, table, target, np.concatenate([p.is_table for p in parts]), pages)
