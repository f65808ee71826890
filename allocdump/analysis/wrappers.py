# SPDX-License-Identifier: LGPL-2.1-or-later
"""Call sites that allocate for others: their objects are of many sizes.

A counter tells the line that called the allocator. Of a line in a helper, as ``__kmemdup_nul()`` or
``bpf_mem_alloc()``, that is not who wanted the memory: what it holds may be of anybody.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Int
from .totals import ObjectTotals

MANY = 4
"""Slab caches, and so sizes. In the bundled dumps, one site in fifty has so many; others have one,
or two where a structure grew."""


def sizes(totals: ObjectTotals, sites: int) -> Int:
    """Number of sizes that the objects of each site have: of slab caches that they are from.

    :return: shape (sites,)
    """
    of_slab = totals.site[(totals.cache >= 0) & (totals.site < sites)]
    return np.bincount(of_slab, minlength=sites)
