# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each CPU's batches of pages on their way to the LRU lists: the used part alone counts.

Mirrors ``struct folio_batch`` in ``include/linux/folio_batch.h``, ``struct pagevec`` of older
kernels, and ``cpu_fbatches`` in ``mm/folio.c``. A batch that was handed on is
emptied by its count: the addresses of its folios stay, and say nothing of who owns those
pages now.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from drgn import Program, Type, TypeKind, offsetof, sizeof

from ..arrays import U64
from ..kernel.kernel import Kernel
from ..kernel.walk import ReadErrors
from ..source.memory import Memory
from .nodes import Spans

_BATCHES = {"folio_batch": "folios", "pagevec": "pages"}
"""Structures that are batches, and their array."""
_MOST = 1 << 13
"""Batches of one variable: more are damage."""


def unused_slots(kernel: Kernel) -> Spans:
    """The unused ends of the batches in static per-CPU variables, of all CPUs."""
    prog = kernel.prog
    found = [batch for start, type_ in _variables(prog) for batch in _inside(start, type_)]
    ends = (_ends(kernel.memory, kernel.cpus.offsets, *batch) for batch in found)
    return Spans.join(Spans.none(), *ends)


def _variables(prog: Program) -> Iterator[tuple[int, Type]]:
    """(address, type) of the static per-CPU variables that have room for a batch."""
    sizes = [size for name in _BATCHES if (size := _size(prog, name))]
    try:
        low, high = (prog.symbol(f"__per_cpu_{name}").address for name in ("start", "end"))
    except LookupError:
        return
    if not sizes:
        return
    names = {s.address: s.name for s in prog.symbols() if low <= s.address < high}
    for start, stop in pairwise([*sorted(names), high]):
        if stop - start < min(sizes):
            continue
        try:
            yield start, prog[names[start]].type_
        except ReadErrors:
            continue  # a marker, or a variable without a type


def _size(prog: Program, name: str) -> int:
    try:
        return int(sizeof(prog.type(f"struct {name}")))
    except LookupError:
        return 0


def _inside(start: int, type_: Type) -> Iterator[tuple[int, Type]]:
    """(address, type) of the batches in a variable."""
    todo = [(start, type_)]
    for _ in range(_MOST):
        if not todo:
            return
        at, type_ = todo.pop()
        while type_.kind == TypeKind.TYPEDEF:
            type_ = type_.type
        if type_.kind == TypeKind.ARRAY and type_.type.kind == TypeKind.STRUCT:
            each = sizeof(type_.type)
            todo += [(at + i * each, type_.type) for i in range(min(type_.length or 0, _MOST))]
        elif type_.kind == TypeKind.STRUCT and type_.tag in _BATCHES:
            yield at, type_
        elif type_.kind == TypeKind.STRUCT:
            todo += [(at + m.bit_offset // 8, m.type) for m in type_.members or ()]


def _ends(memory: Memory, offsets: U64, address: int, type_: Type) -> Spans:
    """The part of a batch's array behind its count, in each CPU's copy."""
    array = _BATCHES[type_.tag or ""]
    bounds = type_.member(array).type
    copies = np.uint64(address) + offsets
    words, readable = memory.words(copies + np.uint64(offsetof(type_, "nr")))
    # nr is a byte at the start of a word.
    used = np.minimum(words & np.uint64(0xFF), np.uint64(bounds.length or 0))
    slots = copies + np.uint64(offsetof(type_, array))
    start = slots + used * np.uint64(8)
    end = slots + np.uint64(sizeof(bounds))
    some = readable & (start < end)
    return Spans.of(start[some], end[some], np.zeros(np.count_nonzero(some), np.int32))
