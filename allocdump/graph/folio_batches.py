# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each CPU's batches of pages on their way to the LRU lists, and of packets: the used part alone
counts.

Mirrors ``struct folio_batch`` in ``include/linux/folio_batch.h``, ``struct pagevec`` of older
kernels, ``cpu_fbatches`` in ``mm/folio.c``, and ``napi_alloc_cache`` in ``net/core/skbuff.c``. A
batch that was handed on is emptied by its count: the addresses of its folios stay, and say
nothing of who owns those pages now. A page of which all parts were given to packets
(``struct page_frag_1k``) is theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from drgn import Program, Type, TypeKind, offsetof, sizeof

from ..arrays import U64, Bool
from ..kernel.kernel import Kernel
from ..kernel.walk import ReadErrors
from ..source.memory import Memory
from .nodes import Spans

_BATCHES = {
    "folio_batch": ("nr", "folios"),
    "pagevec": ("nr", "pages"),
    "napi_alloc_cache": ("skb_count", "skb_cache"),
}
"""Structures that are batches, their count and their array."""
_PAGE, _PART = "page_frag_1k", 1024
"""Structure of a page that is given away in parts, from its end on, and their size."""
_MOST = 1 << 13
"""Batches of one variable: more are damage."""


def unused_slots(kernel: Kernel) -> Spans:
    """The unused ends of the batches in static per-CPU variables, of all CPUs."""
    prog = kernel.prog
    found = [batch for start, type_ in _variables(prog) for batch in _inside(start, type_)]
    memory, offsets = kernel.memory, kernel.cpus.offsets
    ends = (
        (_given if type_.tag == _PAGE else _ends)(memory, np.uint64(start) + offsets, type_)
        for start, type_ in found
    )
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
        elif type_.kind == TypeKind.STRUCT:
            if type_.tag in _BATCHES or type_.tag == _PAGE:
                yield at, type_
            todo += [(at + m.bit_offset // 8, m.type) for m in type_.members or ()]


def _ends(memory: Memory, copies: U64, type_: Type) -> Spans:
    """The part of a batch's array behind its count, in each CPU's copy."""
    count, array = _BATCHES[type_.tag or ""]
    bounds = type_.member(array).type
    number, readable = _member(memory, copies, type_, count)
    slots = copies + np.uint64(offsetof(type_, array))
    start = slots + np.minimum(number, bounds.length or 0).astype(np.uint64) * np.uint64(8)
    return _where(readable, start, slots + np.uint64(sizeof(bounds)))


def _given(memory: Memory, copies: U64, type_: Type) -> Spans:
    """The pointer of each CPU's copy to a page that has no part left."""
    left, readable = _member(memory, copies, type_, "offset")
    start: U64 = copies + np.uint64(offsetof(type_, "va"))
    return _where(readable & (left < np.uint64(_PART)), start, start + np.uint64(8))


def _member(memory: Memory, copies: U64, type_: Type, name: str) -> tuple[U64, Bool]:
    """A small number in each copy, and whether it is readable."""
    words, readable = memory.u32(copies + np.uint64(offsetof(type_, name)))
    bits = 8 * min(sizeof(type_.member(name).type), 4)
    return words.astype(np.uint64) & np.uint64((1 << bits) - 1), readable


def _where(chosen: Bool, start: U64, end: U64) -> Spans:
    some = chosen & (start < end)
    return Spans.of(start[some], end[some], np.zeros(np.count_nonzero(some), np.int32))
