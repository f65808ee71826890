# SPDX-License-Identifier: LGPL-2.1-or-later
"""Slab objects that are allocated but carry no reference: they may hold pointers."""

from __future__ import annotations

import numpy as np

from ..arrays import ranges
from ..kernel.kernel import Kernel
from ..kernel.mm.slab_free import Sheaves, cpu_lists, free_objects
from ..problems import Problem
from .nodes import NOTHING, Heap


def mark_untagged(kernel: Kernel, heap: Heap, found: Sheaves) -> list[Problem]:
    """Make objects that are neither tagged nor free part of the root for such memory.

    :return: what was unreadable
    """
    slabs, problems = heap.doubtful, list[Problem]()
    if not len(slabs.block):
        return problems
    free = np.zeros(len(heap.slots), np.bool_)
    caches, lists = cpu_lists(kernel, heap.caches)
    caches, lists = np.append(slabs.cache, caches), np.append(slabs.freelist, lists)
    for _, objects in free_objects(kernel.memory, heap.caches, caches, lists, problems):
        free[heap.slots_at(objects)] = True
    free[heap.slots_at(found.free_objects(kernel.memory))] = True
    first = heap.blocks.slot[slabs.block]
    count = heap.blocks.count[slabs.block].view(np.int64)
    slots = np.repeat(first, count) + ranges(count)
    slots = slots[(heap.slots[slots] == NOTHING) & ~free[slots]]
    heap.slots[slots] = heap.untagged
    return problems
