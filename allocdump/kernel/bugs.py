# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bugs of kernels, and of what saves them, that make numbers differ from the truth.

A kernel has a bug if its probe says so, by types and symbols, never by a release: distributions
take fixes back. What the bug did, if it did anything, is for those who see the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from drgn import Program, sizeof

from .damage import tail_pages_dropped
from .kernel import Kernel
from .layouts import (
    ModuleCounters,
    ModuleTags,
    PageReferences,
    PageTypes,
    SlabExtensions,
    has_symbol,
)
from .walk import is_damage

_FIRST_INDEX = 2
"""CODETAG_ID_FIRST in include/linux/pgalloc_tag.h."""


@dataclass(frozen=True)
class KnownBug:
    """A bug, and what is known of it."""

    title: str
    """The bug, as a clause."""
    effect: str
    """Effect on numbers, as a clause."""
    commit: str
    """The commit that fixes it: ``0123456789ab``; empty if no single one is known."""
    subject: str
    """Of that commit."""
    since: str
    """Mainline release that came with it."""
    fixed: str
    """Releases that have the fix, the first of each series."""
    probe: Callable[[Kernel], bool]


def tags_beyond_index(kernel: Kernel) -> tuple[int, int]:
    """Addresses of the kernel's own tags that no index in page flags can name: start, end.

    :raises LookupError: if the kernel has no such indexes
    """
    prog = kernel.prog
    tags, mask = prog["kernel_tags"].read_(), prog["alloc_tag_ref_mask"].value_()
    start, size = tags.first_tag.value_(), sizeof(prog.type("struct alloc_tag"))
    named = min(mask + 1 - _FIRST_INDEX, tags.count.value_())
    return start + named * size, start + tags.count.value_() * size


_KMALLOC_TYPES = ("NORMAL", "RANDOM_START", "RECLAIM", "DMA", "CGROUP")
"""Enumerators of ``enum kmalloc_cache_type`` (include/linux/slab.h) before the fix; RANDOM_END is
the last of a range."""


def _has_vector_cycles(kernel: Kernel) -> bool:
    """Kernels with the fix have one more type of caches, whatever they call it; and so have those
    that came after it, whose extensions are words."""
    prog = kernel.prog
    if not kernel.layouts.profiling or kernel.layouts[SlabExtensions] is SlabExtensions.WORDS:
        return False
    numbers = {value for name in _KMALLOC_TYPES for value in _constants(prog, f"KMALLOC_{name}")}
    last = max(_constants(prog, "KMALLOC_RANDOM_END"), default=0)
    numbers |= set(range(min(last, _MOST_TYPES) + 1))
    return list(_constants(prog, "NR_KMALLOC_TYPES")) == [len(numbers)]


def _constants(prog: Program, name: str) -> Iterator[int]:
    """The value of an enumerator; nothing if there is none."""
    with suppress(LookupError):
        yield int(prog.constant(name).value_())


_MOST_TYPES = 64
"""More than CONFIG_RANDOM_KMALLOC_CACHES makes."""


def _has_unnamed_tags(kernel: Kernel) -> bool:
    if kernel.layouts[PageReferences] is not PageReferences.PAGE_FLAGS:
        return False
    start, end = tags_beyond_index(kernel)
    return start < end


class Bug(Enum):
    """Known bugs; the values are :class:`KnownBug`."""

    MIGRATED = KnownBug(
        "counters keep bytes of migrated pages",
        "pages are taken off the counters of allocators for migration, as compaction_alloc, by"
        " their number: 4,095 bytes of each stay",
        "51f43d5d82ed",
        "mm/codetag: swap tags when migrate pages",
        "6.12",
        "6.13",
        lambda kernel: (
            kernel.layouts.profiling
            and kernel.layouts[ModuleTags] is ModuleTags.MODULE_DATA
            and not has_symbol(kernel.prog, "pgalloc_tag_swap")
        ),
    )
    MIGRATED_TAGS = KnownBug(
        "migrated pages count for the allocators for migration",
        "pages that compaction moved are told as of compaction_alloc, by counters and references"
        " alike, not as of the site that allocated them",
        "e0a955bf7f61",
        "mm/codetag: add pgalloc_tag_copy()",
        "6.10",
        "6.12",
        # The function is inlined, so only what else came with that release tells.
        lambda kernel: (
            kernel.layouts.profiling and kernel.layouts[PageTypes] is not PageTypes.TOP_BYTE
        ),
    )
    VECTOR_CYCLES = KnownBug(
        "slabs hold one another's extension vectors",
        "such slabs are not given back until others free them, which can overflow the stack"
        " (CVE-2026-74576)",
        "d9e6a7623938",
        "mm/slab: prevent unbounded recursion in free path with new kmalloc type",
        "6.10",
        "6.12.103, 6.18.44, 7.1.8, 7.2",
        _has_vector_cycles,
    )
    MODULE_COUNTERS = KnownBug(
        "unloading frees a module's counters",
        "what others have in their place since is no counter: they are not read",
        "12ca42c23775",
        "alloc_tag: allocate percpu counters for module tags dynamically",
        "6.13",
        "6.14.9, 6.15",
        lambda kernel: (
            kernel.layouts.profiling
            and kernel.layouts[ModuleTags] is ModuleTags.AREA
            and kernel.layouts[ModuleCounters] is ModuleCounters.STATIC
        ),
    )
    UNNAMED_TAGS = KnownBug(
        "page flags cannot name the last code tags",
        "pages of these sites refer to no tag",
        "",
        "",
        "6.13",
        "7.3",
        _has_unnamed_tags,
    )
    TAIL_PAGES = KnownBug(
        "makedumpfile drops tail pages",
        "makedumpfile up to 1.7.9 takes tail pages of slabs and other compound pages of Linux 7.1"
        " and later for user pages: some are not in the dump",
        "f50c015f150f",
        "Fix wrong exclusion of compound tail pages on Linux 7.1 and later",
        "",
        "",
        tail_pages_dropped,
    )


def bugs_of(kernel: Kernel) -> frozenset[Bug]:
    """The known bugs that a kernel has; those of which nothing tells are left out."""
    return frozenset(bug for bug in Bug if _has(kernel, bug))


def _has(kernel: Kernel, bug: Bug) -> bool:
    try:
        return bool(bug.value.probe(kernel))
    except Exception as e:
        if not is_damage(e):
            raise
        return False
