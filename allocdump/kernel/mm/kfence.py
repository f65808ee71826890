# SPDX-License-Identifier: LGPL-2.1-or-later
"""KFENCE's pool: a page for each object, between pages that nobody may touch.

Mirrors ``mm/kfence/core.c`` and ``struct kfence_metadata`` in ``mm/kfence/kfence.h``. The pool is
kept since boot. Its object pages are marked as slabs for good, so that ``kfree()`` finds them,
and name the cache of their last object; only the metadata tell whether it is in use, and where in
the page it begins. Linux 7.3 gives such objects no reference to a call site; older kernels keep
it in the metadata.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from drgn import offsetof, sizeof

from ...arrays import U64, Bool, Columns, Int
from ...source.dtypes import dtype_of
from ..kernel import Kernel
from ..walk import ReadErrors

_MOST = 1 << 16
"""CONFIG_KFENCE_NUM_OBJECTS is 65,535 at most."""
_STEP = 256


@dataclass
class KfenceObjects(Columns):
    """Object pages of the pool, ascending; columns of shape (number of objects,)."""

    page: U64
    """Address of the page, in the direct map."""
    address: U64
    """Of the object, or of the last one there."""
    size: Int
    """Bytes that were asked for."""
    allocated: Bool
    """Marks objects that are in use."""

    @classmethod
    def none(cls) -> KfenceObjects:
        no = np.zeros(0, np.uint64)
        return cls(no, no, np.zeros(0, np.int64), np.zeros(0, np.bool_))


def kfence_objects(kernel: Kernel) -> KfenceObjects:
    """All object pages of the pool; none if KFENCE is not there, or not on."""
    prog = kernel.prog
    try:
        type_ = prog.type("struct kfence_metadata")
        pool, metadata = (
            prog.read_u64(prog.symbol(name).address)
            for name in ("__kfence_pool", "kfence_metadata")
        )
        allocated = prog.constant("KFENCE_OBJECT_ALLOCATED").value_()
        dtype = dtype_of(type_, {"addr": "addr", "size": "size", "state": "state"})
    except ReadErrors:
        return KfenceObjects.none()
    if not pool or not metadata:
        return KfenceObjects.none()
    found = [KfenceObjects.none()]
    step = 2 * kernel.page.bytes
    for first in range(0, _MOST, _STEP):
        start = metadata + first * dtype.itemsize
        data, _ = kernel.memory.read(start, _STEP * dtype.itemsize)
        rows = data.view(dtype)
        number = np.arange(first, first + _STEP, dtype=np.uint64)
        page = np.uint64(pool) + (number + np.uint64(1)) * np.uint64(step)
        # Nothing tells how many there are: the address of each is in its page.
        wrong = np.flatnonzero(rows["addr"] & ~np.uint64(kernel.page.bytes - 1) != page)
        count = int(wrong[0]) if len(wrong) else _STEP
        found.append(
            KfenceObjects(
                page, rows["addr"], rows["size"].astype(np.int64), rows["state"] == allocated
            ).take(np.arange(count))
        )
        if len(wrong):
            break
    return KfenceObjects.concatenate(found)


def kfence_words(kernel: Kernel) -> U64:
    """Addresses of the words that tell where objects are, in the metadata: whoever has an object
    has its address elsewhere. Shape (number of objects,).
    """
    count = len(kfence_objects(kernel))
    if not count:
        return np.zeros(0, np.uint64)
    type_ = kernel.prog.type("struct kfence_metadata")
    start = kernel.prog.read_u64(kernel.prog.symbol("kfence_metadata").address)
    first = np.uint64(start + offsetof(type_, "addr"))
    words: U64 = first + np.arange(count, dtype=np.uint64) * np.uint64(sizeof(type_))
    return words


def kfence_frames(kernel: Kernel) -> tuple[int, int]:
    """First page frame of the pool, and that behind it; 0 and 0 without one.

    Two pages that nobody may touch come first, and each object's page has one behind it.
    """
    pages = kfence_objects(kernel).page
    if not len(pages):
        return 0, 0
    first, last = ((int(p) - kernel.direct_map) >> kernel.page.shift for p in pages[[0, -1]])
    return first - 2, last + 2
