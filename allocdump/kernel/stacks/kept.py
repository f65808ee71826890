# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stacks that a kernel kept of its allocations, whatever kept them.

Most kernels keep none; then every handle is 0, and nothing is read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import numpy as np
from drgn import Program

from ...arrays import I32, U32, U64, Bool, Int
from ...problems import Code, Problem
from ..kernel import Kernel
from ..layouts import static_key
from ..mm.sections import MemorySection
from ..mm.slab import Cache, slab_caches
from ..walk import is_damage
from .depot import StackDepot, Stacks
from .kasan import KasanReader, keeps_tracks
from .page_owner import PageOwnerReader, page_owner_state
from .slab_tracks import TrackReader

T = TypeVar("T")


def keeps_stacks(prog: Program, caches: list[Cache] | None = None) -> bool:
    """Tell if a kernel keeps stacks of its allocations, as far as it is readable.

    :param caches: all slab caches, if they have been read
    """
    if page_owner_state(prog) == "on":
        return True
    if keeps_tracks(prog):
        return True
    if caches is None:
        debugged = static_key(prog, "slub_debug_enabled")
        caches = slab_caches(prog)[0] if debugged else []
    return any(cache.track for cache in caches)


class KeptStacks:
    """Finds the stacks of pages and objects.

    :param sections: all memory
    :param caches: all slab caches
    :param guarded: start and end, by page frame, of memory whose objects have no tracks: KFENCE's
    """

    def __init__(
        self,
        kernel: Kernel,
        sections: list[MemorySection],
        caches: list[Cache],
        guarded: tuple[int, int] = (0, 0),
    ) -> None:
        self.kernel = kernel
        self._guarded = [np.uint64(kernel.direct_map + pfn * kernel.page.bytes) for pfn in guarded]
        self.problems: list[Problem] = []
        """Keepers of stacks that could not be read."""
        self.pages: PageOwnerReader | None = None
        """None unless page_owner is on."""
        self.objects: TrackReader | None = None
        """None unless the users of some slab cache are tracked."""
        self.kasan: KasanReader | None = None
        """None without CONFIG_KASAN_GENERIC."""
        if keeps_tracks(kernel.prog):
            self.kasan = self._attempt("KASAN's tracks", lambda: KasanReader(kernel, caches))
        if page_owner_state(kernel.prog) == "on":
            self.pages = self._attempt("page_owner", lambda: PageOwnerReader(kernel, sections))
        if any(cache.track for cache in caches):
            self.objects = self._attempt(
                "user tracking of slab objects", lambda: TrackReader(kernel, caches)
            )

    def __bool__(self) -> bool:
        """Tell if the kernel keeps any."""
        return any(keeper is not None for keeper in (self.pages, self.objects, self.kasan))

    def of_pages(self, pfn: Int) -> U32:
        """Handles of the stacks that allocated page frames; 0 where none is kept."""
        if self.pages is None:
            return np.zeros(len(pfn), np.uint32)
        return self.pages.handles(pfn)

    def of_objects(self, address: U64, cache: I32) -> U32:
        """Handles of the stacks that allocated slab objects; 0 where none is kept.

        :param cache: index of the cache of each; -1 if it has none
        """
        out = np.zeros(len(address), np.uint32)
        low, high = self._guarded
        tracked = (address < low) | (address >= high)
        cache = np.where(tracked, cache, np.int32(-1))
        for keeper in (self.objects, self.kasan):
            if keeper is not None:
                out = np.where(out != 0, out, keeper.handles(address, cache)).astype(np.uint32)
        return out

    def freed(self, address: U64) -> Bool:
        """Mark slab objects that were freed, and of which the allocator was not told yet."""
        if self.kasan is None:
            return np.zeros(len(address), np.bool_)
        return self.kasan.is_freed(address)

    def stacks(self, handles: U32) -> Stacks:
        """The stacks of *handles*, of which 0 is none, each once."""
        if self._depot is None:
            return Stacks.unreadable(handles)
        return self._depot.stacks(handles)

    def every(self) -> Stacks:
        """All stacks of the depot; none if nothing refers to them."""
        handles = np.zeros(0, np.uint32)
        if self and self._depot is not None:
            handles = self._depot.handles()
        return self.stacks(handles)

    @cached_property
    def _depot(self) -> StackDepot | None:
        return self._attempt("the stack depot", lambda: StackDepot(self.kernel))

    def _attempt(self, what: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except Exception as e:
            if not is_damage(e):
                raise
            self.problems.append(Problem(Code.UNREADABLE, what, str(e)))
            return None
