# SPDX-License-Identifier: LGPL-2.1-or-later
"""Areas of the contiguous memory allocator: page frames that only movable requests may borrow.

Mirrors ``struct cma`` in ``mm/cma.h``: one range of page frames, or several of them.
"""

from __future__ import annotations

from drgn import Object, Program

from ...text import printable
from ..walk import ReadErrors
from .boot_memory import Span

_MOST_AREAS, _MOST_RANGES = 1 << 10, 64


def cma_areas(prog: Program) -> list[Span]:
    """All areas by name, as far as they are readable; none without CONFIG_CMA."""
    try:
        areas = prog["cma_areas"]
        count = int(prog["cma_area_count"].value_())
        spans = [span for i in range(min(count, _MOST_AREAS)) for span in _ranges(areas[i])]
    except ReadErrors:
        return []
    return [span for span in spans if 0 <= span.start < span.end < 1 << 52]


def _ranges(cma: Object) -> list[Span]:
    name = printable(cma.name.string_())
    parts = [cma]
    if cma.type_.has_member("ranges"):
        most = min(int(cma.nranges.value_()), len(cma.ranges), _MOST_RANGES)
        parts = [cma.ranges[i] for i in range(most)]
    first = [int(part.base_pfn.value_()) for part in parts]
    return [
        Span(start, start + int(part.count.value_()), name)
        for start, part in zip(first, parts, strict=True)
    ]
