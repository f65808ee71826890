# SPDX-License-Identifier: LGPL-2.1-or-later
"""Per-CPU counters of many tags at once.

Mirrors ``alloc_tag_read()`` in ``include/linux/alloc_tag.h``.
"""

from __future__ import annotations

import numpy as np
from drgn import Program
from drgn.helpers.linux.cpumask import for_each_possible_cpu

from ...source.dtypes import dtype_of
from ...source.memory import PAGE, U64, Bool, Memory, runs

_WORD = 8
"""Counters are u64."""


def per_cpu_offsets(prog: Program) -> U64:
    """``__per_cpu_offset`` of each possible CPU: shape (possible CPUs,); one zero without SMP."""
    try:
        offsets = prog["__per_cpu_offset"]
    except LookupError:
        return np.zeros(1, np.uint64)
    return np.array([offsets[cpu].value_() for cpu in for_each_possible_cpu(prog)], np.uint64)


def possible_cpus(prog: Program) -> list[int]:
    """Numbers of the possible CPUs, in the order of :func:`per_cpu_offsets`: there may be gaps."""
    try:
        return list(for_each_possible_cpu(prog))
    except LookupError:
        return [0]  # without SMP


def sum_counters(
    memory: Memory, pointers: U64, offsets: U64 | None = None
) -> tuple[U64, U64, Bool]:
    """Sum ``struct alloc_tag_counters`` over all possible CPUs.

    A single CPU's value may be "negative" (allocated here, freed there), so sums are
    modulo 2^64, as in the kernel.

    :param pointers: the per-CPU pointers ``alloc_tag.counters``, shape (n,); NULL counts nothing
    :param offsets: :func:`per_cpu_offsets`, if they are known
    :return: bytes and calls, uint64, shape (n,), and whether every CPU's copy was readable
    """
    prog = memory.prog
    dtype = dtype_of(prog.type("struct alloc_tag_counters"), {"bytes": "bytes", "calls": "calls"})
    assert dtype.fields
    size, word = dtype.itemsize, dtype["bytes"]
    totals = {name: np.zeros(len(pointers), np.uint64) for name in ("bytes", "calls")}
    # A pointer that is not aligned is damaged.
    complete = pointers % _WORD == 0
    live = np.flatnonzero(complete & (pointers != 0))
    live = live[np.argsort(pointers[live], kind="stable")]
    starts = (per_cpu_offsets(prog) if offsets is None else offsets).tolist()
    for run in runs(pointers[live], PAGE):
        rows = live[run]
        start = int(pointers[rows[0]])
        length = int(pointers[rows[-1]]) - start + size
        # Whole runs are added up, word by word, and the counters picked from the sum.
        total = np.zeros(length // _WORD, np.uint64)
        readable = np.ones(length // _WORD, np.bool_)
        for offset in starts:
            data, ok = memory.read((start + offset) % (1 << 64), length)
            total += data.view(word)
            readable &= ok[::_WORD]
        where = (pointers[rows] - np.uint64(start)).astype(np.intp) // _WORD
        for name, sums in totals.items():
            index = where + dtype.fields[name][1] // _WORD
            sums[rows] = total[index]
            complete[rows] &= readable[index]
    return totals["bytes"], totals["calls"], complete
