# SPDX-License-Identifier: LGPL-2.1-or-later
"""Call sites in the stacks that the kernel kept: what tells an allocation without a tag."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...arrays import U32
from ..machine.code_names import CodeNames, Place
from .call_site import call_site
from .kept import KeptStacks


class StackSites:
    """Numbers the call sites of all stacks of a kernel; there are none without stacks."""

    def __init__(self, kept: KeptStacks, code: CodeNames) -> None:
        stacks = kept.every()
        readable = np.flatnonzero(stacks.length)
        self._handle = stacks.handle[readable]
        frames = [stacks[row] for row in readable.tolist()]
        named = [[code[address] for address in stack] for stack in frames]
        sites = [
            [
                stack[call_site(names, of_page=of_page)]
                for stack, names in zip(frames, named, strict=True)
            ]
            for of_page in (False, True)
        ]
        address, rows = np.unique(np.array(sites, np.uint64), return_inverse=True)
        self._rows = rows.reshape(2, -1)
        self.places: list[Place] = [code[a] for a in address.tolist()]
        """One for each call site."""

    def rows(self, handles: U32, *, of_pages: bool) -> npt.NDArray[np.int32]:
        """Rows of the call sites of stacks; -1 where there is none.

        :param of_pages: whether they are of page_owner
        """
        if not len(self._handle):
            return np.full(len(handles), -1, np.int32)
        at = np.minimum(np.searchsorted(self._handle, handles), len(self._handle) - 1)
        found = (self._handle[at] == handles) & (handles != 0)
        return np.where(found, self._rows[int(of_pages)][at], -1).astype(np.int32)
