# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stacks as texts, for those who add up memory by them."""

from __future__ import annotations

import numpy as np

from ...arrays import I32, U64, Int
from ..machine.code_names import CodeNames, Place
from .call_site import from_call_site
from .kept import KeptStacks

NO_STACK = "(no stack kept)"
UNREADABLE = "(unreadable stack)"
_OF_PAGE = 1 << 32
"""Bit of a code beside those of handles."""


class StackText(str):
    """``lose_pages+0x40 [reach] < do_one_initcall+0x6c < do_init_module+0x52``: from the call site
    outwards."""

    frames: tuple[Place, ...] = ()
    """The same; none if there is no stack, or it is unreadable."""


class StackNames:
    """Numbers stacks, and names them."""

    def __init__(self, kept: KeptStacks, code: CodeNames) -> None:
        self.kept, self._code = kept, code

    def codes(self, address: U64, pfn: Int, cache: I32) -> Int:
        """Codes of the stacks that allocated pages and objects; 0 where none was kept.

        :param pfn: page frames of pages; -1 of what is none
        :param cache: indexes of the slab caches of objects; below 0 of what is none
        """
        out = self.kept.of_pages(np.where(cache < 0, pfn, -1)).astype(np.int64)
        out[out != 0] |= _OF_PAGE
        objects = np.flatnonzero(cache >= 0)
        out[objects] = self.kept.of_objects(address[objects], cache[objects])
        return out

    def text(self, code: int) -> StackText:
        """The stack of a code."""
        if not code:
            return StackText(NO_STACK)
        stacks = self.kept.stacks(np.array([code & (_OF_PAGE - 1)], np.uint32))
        frames = [self._code[address] for stack in stacks for address in stack]
        if not frames:
            return StackText(UNREADABLE)
        frames = list(from_call_site(frames, of_page=bool(code & _OF_PAGE)))
        text = StackText(" < ".join(frame.label for frame in frames))
        text.frames = tuple(frames)
        return text
