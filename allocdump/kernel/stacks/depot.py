# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stack depot: each stack that the kernel kept, once, by its number.

Mirrors ``lib/stackdepot.c``. A handle has the index of a pool and the offset of a record in it;
the record repeats the handle, so that a damaged one is told from any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from drgn import Program, Type, TypeKind, offsetof

from ...arrays import U32, U64, Bool, Int, ranges
from ...problems import Code, Problem
from ...text import some
from ..kernel import Kernel
from ..layouts import StackPools

_ALIGN = 4
"""DEPOT_STACK_ALIGN: bits of an address that an offset has not."""
_MOST_FRAMES = 256
"""The most that CONFIG_STACKDEPOT_MAX_FRAMES can be."""
_MOST_POOLS = 8192
"""DEPOT_POOLS_CAP; since 6.18, a boot parameter may set another number."""
_WORD = 8


@dataclass
class Stacks:
    """Some stacks of the depot; columns of shape (number of stacks,)."""

    handle: U32
    """Ascending, each once, without what users of the depot keep in its spare bits."""
    first: Int
    """Index in :attr:`frames` of the innermost frame."""
    length: Int
    """Number of frames; 0 if the stack could not be read."""
    frames: U64
    """Return addresses of all stacks, the innermost of each first."""
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def unreadable(cls, handles: U32) -> Stacks:
        """Of a depot that cannot be read."""
        handle = np.unique(handles[handles != 0])
        none = np.zeros(len(handle), np.int64)
        return cls(handle, none, none, np.zeros(0, np.uint64))

    def __len__(self) -> int:
        return len(self.handle)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """All stacks, as :meth:`__getitem__` has them."""
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, row: int) -> tuple[int, ...]:
        """Return addresses of one stack, the innermost first; empty if it could not be read."""
        first = int(self.first[row])
        return tuple(self.frames[first : first + int(self.length[row])].tolist())


@dataclass(frozen=True)
class _Bits:
    """Place of a part of a handle."""

    shift: int
    mask: int

    @classmethod
    def of(cls, handle: Type, name: str) -> _Bits:
        member = handle.member(name)
        return cls(member.bit_offset, (1 << (member.bit_field_size or 32)) - 1)

    def __call__(self, handles: U32) -> U64:
        return handles.astype(np.uint64) >> np.uint64(self.shift) & np.uint64(self.mask)


class StackDepot:
    """Reads stacks by their handles, many at once.

    :raises LookupError: if the kernel's types lack what this needs
    :raises drgn.FaultError: if the table of pools is not in the dump
    """

    def __init__(self, kernel: Kernel) -> None:
        prog = kernel.prog
        # Holes here are told as problems, not as holes in what describes memory.
        self.memory = kernel.counting_holes().memory
        variant = kernel.layouts[StackPools]
        handle, record = prog.type("union handle_parts"), prog.type("struct stack_record")
        self._index = _Bits.of(handle, _INDEX[variant])
        self._one_more = variant in (StackPools.TABLE, StackPools.ARRAY)
        self._offset = _Bits.of(handle, "offset")
        self._pool = (self._offset.mask + 1) << _ALIGN
        self._spare = 0
        if handle.has_member("extra"):
            spare = _Bits.of(handle, "extra")
            self._spare = spare.mask << spare.shift
        self._at = {name: offsetof(record, name) for name in ("handle", "size", "entries")}
        self._count = offsetof(record, "count.refs.counter") if record.has_member("count") else None
        entries = record.member("entries").type
        self._most = entries.length if entries.kind == TypeKind.ARRAY and entries.length else 0
        self._most = min(self._most or _MOST_FRAMES, _MOST_FRAMES)
        self._pools = _table(prog, variant)
        most = _MOST_POOLS
        if variant is StackPools.TABLE:
            most = prog.read_u32(prog.symbol("stack_max_pools").address)
        self._most_pools = min(self._index.mask + 1, most)

    def plain(self, handles: U32) -> U32:
        """Handles without what users of the depot keep in their spare bits."""
        return handles & np.uint32(~self._spare & 0xFFFF_FFFF)

    def stacks(self, handles: U32) -> Stacks:
        """The stacks of *handles*, of which 0 is none, each once."""
        handle = np.unique(self.plain(handles))
        handle = handle[handle != 0]
        record, sure = self._records(handle)
        size, readable = self.memory.u32(record + np.uint64(self._at["size"]))
        told, readable_too = self.memory.u32(record + np.uint64(self._at["handle"]))
        sure &= readable & readable_too & (self.plain(told) == handle)
        offset = (self._offset(handle) << np.uint64(_ALIGN)).astype(np.int64)
        room = (self._pool - self._at["entries"] - offset) // _WORD
        sure &= (size > 0) & (size <= self._most) & (size <= room)
        if self._count is not None:
            # On the list of free records, links lie where frames were.
            count, readable = self.memory.u32(record + np.uint64(self._count))
            sure &= readable & (count != 0)
        length = np.where(sure, size, 0).astype(np.int64)
        places = np.repeat(record + np.uint64(self._at["entries"]), length)
        places += ranges(length).astype(np.uint64) * np.uint64(_WORD)
        frames, readable = self.memory.words(places)
        first = np.cumsum(length) - length
        if not readable.all():
            cut = np.unique(np.repeat(np.arange(len(handle)), length)[~readable])
            length[cut] = 0
        lost = int(np.count_nonzero(length == 0))
        return Stacks(handle, first, length, frames, _problems(lost))

    def handles(self) -> U32:
        """The handles of all stacks, ascending; those of pools that are not in the dump are not
        among them."""
        pools, _ = self.memory.words(
            self._pools + np.arange(self._most_pools, dtype=np.uint64) * np.uint64(_WORD)
        )
        index = np.flatnonzero(pools)
        offset = np.arange(self._pool >> _ALIGN, dtype=np.uint64)
        out = [np.zeros(0, np.uint32)]
        for pool, number in zip(pools[index], index.tolist(), strict=True):
            record = pool + (offset << np.uint64(_ALIGN))
            told, _ = self.memory.u32(record + np.uint64(self._at["handle"]))
            # Each record says where it is; nothing else there looks like that.
            told = self.plain(told)
            here = self._index(told) == np.uint64(number + self._one_more)
            out.append(told[here & (self._offset(told) == offset)])
        found: U32 = np.unique(np.concatenate(out))
        held: U32 = found[found != 0]
        return held

    def _records(self, handle: U32) -> tuple[U64, Bool]:
        """Addresses of the records of handles, and whether there are any: 0 if not."""
        index = self._index(handle) - np.uint64(self._one_more)
        pool, readable = self.memory.words(self._pools + index * np.uint64(_WORD))
        readable &= pool != 0
        record = pool + (self._offset(handle) << np.uint64(_ALIGN))
        return np.where(readable, record, np.uint64(0)), readable


_INDEX = {
    StackPools.TABLE: "pool_index_plus_1",
    StackPools.ARRAY: "pool_index_plus_1",
    StackPools.ZERO: "pool_index",
    StackPools.SLABS: "slabindex",
}


def _table(prog: Program, variant: StackPools) -> np.uint64:
    """Address of the array of pools.

    :raises drgn.FaultError: if it is not in the dump
    """
    name = "stack_slabs" if variant is StackPools.SLABS else "stack_pools"
    address = int(prog.symbol(name).address)
    return np.uint64(prog.read_u64(address) if variant is StackPools.TABLE else address)


def _problems(lost: int) -> list[Problem]:
    if not lost:
        return []
    subject = some(lost, "stack", "stacks")
    return [Problem(Code.UNREADABLE, subject, "damaged, or not in the dump", many=lost != 1)]
