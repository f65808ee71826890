# SPDX-License-Identifier: LGPL-2.1-or-later
"""References to tags: from a word in memory to a row of the sites.

Mirrors ``include/linux/pgalloc_tag.h`` (``idx_to_ref()``) and ``include/linux/alloc_tag.h``
(``CODETAG_EMPTY``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from drgn import FaultError, sizeof

from ...arrays import U64
from ..kernel import Kernel
from ..layouts import PageReferences

NONE = -1
"""No reference: not allocated, or not tagged."""
EMPTY = -2
"""CODETAG_EMPTY: allocated, deliberately not counted (CONFIG_MEM_ALLOC_PROFILING_DEBUG)."""
STRAY = -3
"""A reference to no known tag."""

CODETAG_EMPTY = 1

Rows = npt.NDArray[np.int32]
"""Row of the site, or NONE, EMPTY, STRAY."""


class SiteIndex:
    """Finds the site of a tag's address.

    Without a single tag nothing is a reference: where a kernel that never profiled would
    keep references lies something else, or what was there before.
    """

    def __init__(self, addresses: U64) -> None:
        self._order = np.argsort(addresses, kind="stable").astype(np.int32)
        self._sorted = addresses[self._order]

    def rows(self, refs: U64) -> Rows:
        """Rows of the sites that *refs*, addresses of tags, belong to."""
        if not len(self._sorted):
            return np.full(refs.shape, NONE, np.int32)
        where = np.searchsorted(self._sorted, refs)
        where[where == len(self._sorted)] = 0
        rows = np.where(self._sorted[where] == refs, self._order[where], STRAY)
        rows[refs == 0] = NONE
        rows[refs == CODETAG_EMPTY] = EMPTY
        return rows.astype(np.int32)


@dataclass(frozen=True)
class PageFlagRefs:
    """Place of references in page flags: see :class:`.layouts.PageReferences`."""

    shift: int
    mask: int
    kernel_tags: int
    kernel_count: int
    module_tags: int
    tag_size: int

    def addresses(self, flags: U64) -> U64:
        """Addresses of the tags that page flags refer to; 0 for none, 1 for empty."""
        index = (flags >> np.uint64(self.shift) & np.uint64(self.mask)).astype(np.int64) - 2
        kernel = self.kernel_tags + index * self.tag_size
        module = self.module_tags + (index - self.kernel_count) * self.tag_size
        address = np.where(index < self.kernel_count, kernel, module).view(np.uint64)
        # Indexes 0 and 1 are CODETAG_ID_NULL and CODETAG_ID_EMPTY.
        return np.where(index < 0, (index + 2).astype(np.uint64), address)


def page_flag_refs(kernel: Kernel) -> PageFlagRefs | None:
    """Find the place of references in page flags; None if they hold none, or nothing tells."""
    if kernel.layouts[PageReferences] is not PageReferences.PAGE_FLAGS:
        return None
    prog = kernel.prog
    try:
        own, module = prog["kernel_tags"].read_(), prog["module_tags"].read_()
    except (LookupError, FaultError):
        return None

    def signed(address: int) -> int:
        return address - (1 << 64) if address >> 63 else address

    return PageFlagRefs(
        prog["alloc_tag_ref_offs"].value_(),
        prog["alloc_tag_ref_mask"].value_(),
        signed(own.first_tag.value_()),
        own.count.value_(),
        signed(module.start_addr.value_()),
        sizeof(prog.type("struct alloc_tag")),
    )
