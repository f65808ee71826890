# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that allocation profiling itself takes, where nothing else shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from drgn import sizeof

from ..kernel import Kernel
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
    return ProfilerCost(own * tag, own * counter * len(kernel.cpus), share)
