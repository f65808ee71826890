# SPDX-License-Identifier: LGPL-2.1-or-later
"""Page tables, many entries at once.

Mirrors ``arch/x86/include/asm/pgtable_types.h``. Other architectures have no walker here:
what only their page tables point at has no holder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from drgn import Architecture, Program

from ...arrays import U64
from ...source.memory import Memory
from ..walk import ReadErrors

_PRESENT, _LARGE = np.uint64(1), np.uint64(1 << 7)
"""_PAGE_PRESENT, _PAGE_PSE"""
_FRAME = np.uint64(0x000F_FFFF_FFFF_F000)
"""PTE_PFN_MASK: the physical address in an entry."""
_ENTRIES = 512
_BITS = 9
_BATCH = 512
"""Tables that are read together."""


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


def frame_mask(prog: Program) -> np.uint64:
    """The bits of an entry that are a physical address: not the one that marks encrypted
    memory (AMD SME).
    """
    try:
        encrypted = prog.read_u64(prog.symbol("sme_me_mask").address)
    except ReadErrors:
        encrypted = 0
    return _FRAME & ~np.uint64(encrypted)


class PageTables:
    """Walks page tables of x86-64."""

    def __init__(self, memory: Memory, direct_map: int, five_levels: bool) -> None:
        self.memory = memory
        self.direct_map = np.uint64(direct_map)
        self.levels = 5 if five_levels else 4
        platform = memory.prog.platform
        self.known = platform is not None and platform.arch == Architecture.X86_64
        self._frame = frame_mask(memory.prog)

    def walk(self, tops: U64, low: int, high: int, leaves: bool) -> Iterator[Level]:
        """Entries for virtual addresses from *low* up to *high*, level by level.

        :param tops: virtual addresses of top tables, shape (n,)
        :param leaves: read the last level, too, whose entries are of single pages
        """
        if not self.known:
            return
        address, table = tops, np.zeros(len(tops), np.uint64)
        base = np.zeros(len(tops), np.uint64)
        for level in range(self.levels - 1, -1 if leaves else 0, -1):
            shift = np.uint64(12 + _BITS * level)
            parts = []
            for at in range(0, len(address), _BATCH):
                some = slice(at, at + _BATCH)
                parts.append(self._tables(address[some], table[some], base[some], shift, low, high))
            found = _join(parts, level)
            yield found
            down = found.is_table
            table, base = found.target[down], found.virtual[down]
            # A table is looked at once, however many times it is mapped.
            table, first = np.unique(table, return_index=True)
            base = base[first]
            address = table + self.direct_map

    def _tables(
        self, address: U64, table: U64, base: U64, shift: np.uint64, low: int, high: int
    ) -> Level:
        index = np.arange(_ENTRIES, dtype=np.uint64)
        entries, _ = self.memory.words((address[:, None] + index * np.uint64(8)).ravel())
        virtual = (base[:, None] + (index << shift)).ravel()
        if shift == 12 + _BITS * (self.levels - 1):
            # Addresses are canonical: the upper half is sign-extended.
            top = np.uint64(12 + _BITS * self.levels)
            virtual |= np.where(
                virtual >> (top - np.uint64(1)) & np.uint64(1), ~np.uint64(0) << top, 0
            )
        last = virtual + ((np.uint64(1) << shift) - np.uint64(1))
        wanted = (entries & _PRESENT != 0) & (last >= np.uint64(low)) & (virtual <= np.uint64(high))
        rows = np.flatnonzero(wanted)
        return Level(
            virtual[rows],
            np.repeat(table, _ENTRIES)[rows],
            entries[rows] & self._frame,
            entries[rows] & _LARGE == 0,
            1,
        )


def _join(parts: list[Level], level: int) -> Level:
    pages = _ENTRIES**level
    if not parts:
        none = np.zeros(0, np.uint64)
        return Level(none, none, none, np.zeros(0, np.bool_), pages)
    virtual, table, target = (
        np.concatenate([getattr(p, name) for p in parts]) for name in ("virtual", "table", "target")
    )
    # On the last level the bit means something else.
    is_table = np.concatenate([p.is_table for p in parts]) & (level > 0)
    return Level(virtual, table, target, is_table, pages)
