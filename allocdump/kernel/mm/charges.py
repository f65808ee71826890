# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory cgroups that pages, slab objects and per-CPU objects are charged to, in bulk.

Mirrors ``folio_memcg_check()`` in ``include/linux/memcontrol.h``, ``slab_obj_ext_objcg()`` in
``mm/slab.h`` and ``struct pcpuobj_ext`` in ``mm/percpu-internal.h``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from drgn import offsetof, sizeof

from ...arrays import I32
from ..kernel import Kernel
from ..layouts import PageCharges, PercpuCharges
from ..machine.charged import NOT_CHARGED, ChargedCgroups
from .page_types import PageKind
from .pages import Frames
from .percpu import MIN_ALLOC, PerCpuObjects
from .slab import Objects, Slabs

_OBJEXTS, _KMEM = 1, 2
"""MEMCG_DATA_OBJEXTS, MEMCG_DATA_KMEM"""
_FLAGS = np.uint64(7)
_NEVER = (
    PageKind.SLAB,
    PageKind.FREE,
    PageKind.FREE_PCP,
    PageKind.RESERVED,
    PageKind.OFFLINE,
    PageKind.UNREADABLE,
)
"""Kinds of pages of which the word is stale, or says something else."""


class Charges:
    """Answers with rows of :attr:`cgroups`."""

    def __init__(self, kernel: Kernel) -> None:
        # What is missing here is a cgroup that is unreadable, no hole in what describes memory.
        self._memory = kernel.counting_holes().memory
        self.cgroups = ChargedCgroups(kernel)
        self._pages = kernel.layouts[PageCharges]
        self._percpu = kernel.layouts[PercpuCharges]
        self._step, self._offset = 8, 0
        if self._percpu is PercpuCharges.EXTENSION:
            extension = kernel.prog.type("struct pcpuobj_ext")
            self._step, self._offset = sizeof(extension), offsetof(extension, "cgroup")

    def of_pages(self, frames: Frames, index: npt.NDArray[np.intp]) -> I32:
        """Rows of the cgroups of allocations of pages, by their first pages.

        :param index: in *frames*, shape (number of allocations,)
        """
        if self._pages is PageCharges.NONE:
            return np.full(len(index), NOT_CHARGED, np.int32)
        words = frames.raw["memcg_data"][index].astype(np.uint64)
        words[np.isin(frames.kind[index], _NEVER) | (words & np.uint64(_OBJEXTS) != 0)] = 0
        of_kernel = words & np.uint64(_KMEM) != 0
        objcg = of_kernel | (self._pages is PageCharges.OBJCG)
        return self.cgroups.rows(words & ~_FLAGS, objcg)

    def of_objects(self, slabs: Slabs, objects: Objects) -> I32:
        """Rows of the cgroups of slab objects."""
        words = np.zeros(len(objects.slab), np.uint64)
        some = np.flatnonzero(slabs.objcgs[objects.slab])
        if len(some):
            of = objects.slab[some]
            place = slabs.objcgs.view(np.int64)[of] + objects.index[some] * slabs.stride[of]
            words[some], _ = self._memory.words(place.view(np.uint64))
        return self.cgroups.rows(words & ~_FLAGS, objcg=True)

    def of_percpu(self, chunk: PerCpuObjects) -> I32:
        """Rows of the cgroups of the per-CPU objects of a chunk."""
        if self._percpu is PercpuCharges.NONE or not chunk.charges:
            return np.full(len(chunk.pointer), NOT_CHARGED, np.int32)
        index = (chunk.pointer - np.uint64(chunk.start)) // np.uint64(MIN_ALLOC)
        first = np.uint64(chunk.charges + self._offset)
        words, _ = self._memory.words(first + index * np.uint64(self._step))
        return self.cgroups.rows(words & ~_FLAGS, objcg=True)
