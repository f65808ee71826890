# SPDX-License-Identifier: LGPL-2.1-or-later
"""Helpers for memory allocation profiling, in the style of :mod:`drgn.helpers.linux`.

:mod:`allocdump.drgn.helpers.alloc_tag` takes and returns drgn objects, one at a time;
:mod:`allocdump.drgn.helpers.arrays` answers for all memory at once with numpy arrays. They work on
any :class:`drgn.Program` with the kernel's types. In an ``allocdump shell`` all are there; in
other sessions::

    >>> from allocdump.helpers import *
"""

from __future__ import annotations

from .alloc_tag import (
    AllocTagCounters,
    address_alloc_tag,
    alloc_tag_counters,
    alloc_tag_str,
    find_alloc_tags,
    for_each_alloc_tag,
    mem_alloc_profiling_enabled,
    page_alloc_tag,
    percpu_alloc_tag,
    slab_object_alloc_tag,
    vmalloc_alloc_tag,
)
from .arrays import (
    alloc_tag_arrays,
    page_alloc_tag_arrays,
    percpu_alloc_tag_arrays,
    slab_alloc_tag_arrays,
    vmalloc_alloc_tag_arrays,
)

__all__ = (
    "AllocTagCounters",
    "address_alloc_tag",
    "alloc_tag_arrays",
    "alloc_tag_counters",
    "alloc_tag_str",
    "find_alloc_tags",
    "for_each_alloc_tag",
    "mem_alloc_profiling_enabled",
    "page_alloc_tag",
    "page_alloc_tag_arrays",
    "percpu_alloc_tag",
    "percpu_alloc_tag_arrays",
    "slab_alloc_tag_arrays",
    "slab_object_alloc_tag",
    "vmalloc_alloc_tag",
    "vmalloc_alloc_tag_arrays",
)
