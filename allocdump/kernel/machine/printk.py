# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ring buffer of printk().

Mirrors ``kernel/printk/printk_ringbuffer.c``: descriptors with numbers that count up and a
state, and a ring of text blocks, each of which begins with the number of its descriptor.
drgn's helper follows the numbers for as long as it takes, which in a damaged ring is for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from drgn import FaultError, Object, Program

from ...problems import Code
from ...source.dtypes import dtype_of
from ...source.memory import Memory, each_whole
from ..walk import Cut, Walked, structure, walk

_RING = structure(
    "the kernel log",
    "record of the kernel log",
    "records of the kernel log",
    code=Code.UNREADABLE,
    most=1 << 26,
)
_WORD = 8
"""Numbers of descriptors, and what a text block begins with."""
_STATE_SHIFT = 62
_ID_MASK = (1 << _STATE_SHIFT) - 1
_COMMITTED, _FINALIZED = 1, 2
"""DESC_FLAGS_SHIFT, DESC_ID_MASK, enum desc_state"""
_MOST_BITS = 31
"""LOG_BUF_LEN_MAX: a ring is no larger."""


@dataclass(frozen=True)
class LogRecord:
    """A message."""

    text: bytes
    time: int
    """Nanoseconds since boot."""


def printk_records(prog: Program) -> Walked[LogRecord]:
    """All records, oldest first, but for those without text."""
    ring: list[_Ring] = []

    def numbers() -> Iterator[int | Cut]:
        ring[:] = [_Ring(prog)]
        return ring[0].numbers()

    return walk(prog, _RING, numbers, lambda number: ring[0].record(number))


class _Ring:
    """The ring as it is at one moment.

    :raises drgn.FaultError: if what describes it is unreadable
    :raises ValueError: if that is damaged
    """

    def __init__(self, prog: Program) -> None:
        memory, prb = Memory(prog), prog["prb"].read_()
        descriptors, text = prb.desc_ring.read_(), prb.text_data_ring.read_()
        bits = descriptors.count_bits.value_(), text.size_bits.value_()
        if not all(0 < b <= _MOST_BITS for b in bits):
            raise ValueError("its size is damaged")
        self._count, self._size = (1 << b for b in bits)
        self._ends = (
            descriptors.tail_id.counter.value_() & _ID_MASK,
            descriptors.head_id.counter.value_() & _ID_MASK,
        )
        atomic, place = "state_var.counter", "text_blk_lpos"
        members = {"state": atomic, "begin": f"{place}.begin", "next": f"{place}.next"}
        self._descs, self._has_desc = self._table(memory, descriptors.descs, members)
        members = {"length": "text_len", "time": "ts_nsec"}
        self._infos, self._has_info = self._table(memory, descriptors.infos, members)
        self._text, self._has_text = memory.read(text.data.value_(), self._size)

    def _table(
        self, memory: Memory, pointer: Object, members: dict[str, str]
    ) -> tuple[np.ndarray, np.ndarray]:
        dtype = dtype_of(pointer.type_.type, members)
        data, ok = memory.read(pointer.value_(), self._count * dtype.itemsize)
        return data.view(dtype), each_whole(ok, dtype.itemsize)

    def numbers(self) -> Iterator[int | Cut]:
        """Numbers of descriptors, oldest first."""
        tail, head = self._ends
        span = (head - tail) & _ID_MASK
        if span < self._count:
            yield from ((tail + i) & _ID_MASK for i in range(span + 1))
            return
        yield Cut(ValueError("its ends are damaged"))
        found = self._descs["state"].astype(np.uint64) & np.uint64(_ID_MASK)
        in_place = found % np.uint64(self._count) == np.arange(self._count, dtype=np.uint64)
        yield from np.sort(found[in_place & self._has_desc]).tolist()

    def record(self, number: int) -> LogRecord | None:
        """None for what was not written to the end yet, is used again, or has no text.

        :raises drgn.FaultError: if a part of it is unreadable
        """
        index = number % self._count
        if not (self._has_desc[index] and self._has_info[index]):
            raise FaultError("its descriptor is not readable", number)
        desc, info = self._descs[index], self._infos[index]
        state = int(desc["state"]) & ((1 << 64) - 1)
        written = state >> _STATE_SHIFT in (_COMMITTED, _FINALIZED)
        if state & _ID_MASK != number or not written:
            return None
        begin, following = int(desc["begin"]), int(desc["next"])
        if begin & following & 1:
            return None  # LPOS_DATALESS()
        # A block is in one piece: one that would have been cut begins at the ring's start.
        end = (following - 1) % self._size + 1
        begin = begin % self._size if begin // self._size == (following - 1) // self._size else 0
        text = begin + _WORD
        if self._text[begin:text].tobytes() != number.to_bytes(_WORD, "little"):
            raise ValueError("its text is another record's")
        end = min(end, text + int(info["length"]))
        if not self._has_text[begin:end].all():
            raise FaultError("its text is not readable", number)
        return LogRecord(self._text[text:end].tobytes(), int(info["time"]))
