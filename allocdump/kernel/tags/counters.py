# SPDX-License-Identifier: LGPL-2.1-or-later
"""Per-CPU counters of many tags at once.

Mirrors ``alloc_tag_read()`` in ``include/linux/alloc_tag.h``.
"""

from __future__ import annotations

import numpy as np

from ...arrays import U64, Bool
from ...source.dtypes import dtype_of
from ...source.memory import runs
from ..kernel import Kernel

_WORD = 8
"""Counters are u64."""


def sum_counters(kernel: Kernel, pointers: U64) -> tuple[U64, U64, Bool]:
    """Sum ``struct alloc_tag_counters`` over all possible CPUs.

    A single CPU's value may be "negative" (allocated here, freed there), so sums are
    modulo 2^64, as in the kernel.

    :param pointers: the per-CPU pointers ``alloc_tag.counters``, shape (n,); NULL counts nothing
    :return: bytes and calls, uint64, shape (n,), and whether every CPU's copy was readable
    """
    prog, memory = kernel.prog, kernel.memory
    dtype = dtype_of(prog.type("struct alloc_tag_counters"), {"bytes": "bytes", "calls": "calls"})
    assert dtype.fields
    size, word = dtype.itemsize, dtype["bytes"]
    totals = {name: np.zeros(len(pointers), np.uint64) for name in ("bytes", "calls")}
    # A pointer that is not aligned is damaged.
    complete = pointers % _WORD == 0
    live = np.flatnonzero(complete & (pointers != 0))
    live = live[np.argsort(pointers[live], kind="stable")]
    starts = kernel.cpus.offsets.tolist()
    for run in runs(pointers[live], memory.page):
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
