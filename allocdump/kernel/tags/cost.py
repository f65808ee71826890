# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that allocation profiling itself takes, where nothing else shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from drgn import sizeof

from ..kernel import Kernel
from ..layouts import PageReferences, has_symbol
from ..walk import ReadErrors
from .sites import Sites


@dataclass(frozen=True)
class ProfilerCost:
    """Bytes of allocation profiling itself that other classes would hide."""

    tags: int
    """Of the kernel's own sites, in the kernel image."""
    counters: int
    """Of the kernel's own sites, in the first per-CPU chunk: boot memory."""
    page_ext_share: float
    """Part of a page extension that is the reference."""
    deferred: bool = False
    """Pages have extensions only after struct pages that boot defers: ``page_ext_init()`` in
    ``page_alloc_init_late()``, mm/mm_init.c."""


def profiler_cost(kernel: Kernel, sites: Sites) -> ProfilerCost:
    """The cost of the kernel's own *sites*; nothing without any."""
    own = int(np.count_nonzero(sites.module == ""))
    if not own:
        return ProfilerCost(0, 0, 0.0)
    counter, tag = (
        sizeof(kernel.prog.type(name)) for name in ("struct alloc_tag_counters", "struct alloc_tag")
    )
    try:
        share = 8 / (kernel.prog["page_ext_size"].value_() or 8)
    except ReadErrors:
        share = 1.0
    in_extensions = kernel.layouts[PageReferences] is PageReferences.PAGE_EXT
    deferred = in_extensions and has_symbol(kernel.prog, "deferred_pages")
    return ProfilerCost(own * tag, own * counter * len(kernel.cpus), share, deferred)
