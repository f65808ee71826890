# SPDX-License-Identifier: LGPL-2.1-or-later
"""``struct percpu_counter``, many at once.

Mirrors ``__percpu_counter_sum()`` in ``lib/percpu_counter.c``.
"""

from __future__ import annotations

import numpy as np
from drgn import offsetof

from ...arrays import U64, Int
from ..kernel import Kernel


def sum_percpu_counters(kernel: Kernel, addresses: U64) -> Int:
    """Sums over all possible CPUs; what cannot be read counts nothing.

    :param addresses: of ``struct percpu_counter``, shape (n,)
    :return: shape (n,)
    """
    memory = kernel.memory
    type_ = kernel.prog.type("struct percpu_counter")
    count, _ = memory.words(addresses + np.uint64(offsetof(type_, "count")))
    total = count.view(np.int64).copy()
    if not type_.has_member("counters"):
        return total  # without SMP
    pointers, _ = memory.words(addresses + np.uint64(offsetof(type_, "counters")))
    live = pointers != 0
    for offset in kernel.cpus.offsets:
        total[live] += memory.u32(pointers[live] + offset)[0].view(np.int32)
    return total
