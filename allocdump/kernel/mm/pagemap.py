# SPDX-License-Identifier: LGPL-2.1-or-later
"""One pass over all memory, for everybody who wants to look: pages, slabs, objects."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ...arrays import Int
from ...problems import Code, Problem
from ...progress import Phase, Progress
from ..damage import damage_cause
from ..kernel import Kernel
from ..machine.page_pools import page_pools
from ..stacks.kept import KeptStacks
from ..tags.references import SiteIndex
from ..tags.sites import Sites
from .boot_memory import KFENCE, BootMemory, Span, boot_memory, bounce_buffers
from .charges import Charges
from .cma import cma_areas
from .origins import OriginRows
from .page_uses import PageMarks
from .pages import FrameReader, Frames, loose_tails
from .percpu import PerCpuObjects, PerCpuReader
from .slab import Cache, Objects, SlabReader, Slabs
from .slab_free import Sheaves, cpu_slabs, free_but_in_slabs_use, sheaves

_KEPT = 1 << 20
"""Objects of a part that are kept for the next visitor; more are read again."""


class Part:
    """Page frames next to one another, with the slabs and objects in them.

    What one visitor has read, the next one finds.
    """

    def __init__(
        self, frames: Frames, most_pages: Int, reader: SlabReader, origins: OriginRows
    ) -> None:
        self.frames = frames
        self._most_pages, self._reader, self._origins = most_pages, reader, origins
        self._objects: list[Objects] | None = None

    @cached_property
    def loose_tails(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Tails of allocations that are not compound: see :func:`.pages.loose_tails`."""
        return loose_tails(self.frames, self._most_pages)

    @cached_property
    def slabs(self) -> Slabs:
        """The slabs that begin here."""
        return self._reader.slabs(self.frames)

    def objects(self) -> Iterator[Objects]:
        """All objects, allocated or free, of the slabs, in batches; those in use have a site
        or another origin."""
        if self._objects is None:
            batches = self._with_origins()
            if int(self.slabs.objects.sum()) > _KEPT:
                yield from batches
                return
            self._objects = list(batches)
        yield from self._objects

    def objects_of(self, rows: npt.NDArray[np.intp]) -> Objects:
        """The objects of some of the slabs, of known caches, by their rows."""
        objects = self._reader.objects_of(self.slabs, rows)
        self._origins.mark_objects(self.slabs, objects)
        return objects

    def _with_origins(self) -> Iterator[Objects]:
        for objects in self._reader.objects(self.slabs):
            self._origins.mark_objects(self.slabs, objects)
            yield objects


class Visitor(Protocol):
    """Looks at all parts of a page map, in ascending order."""

    def part(self, part: Part) -> None:
        """Look at one part."""


class PageMap:
    """All page frames of a kernel, and what is in them, with the sites of references.

    :raises LookupError: if the kernel's types lack what this needs
    """

    def __init__(self, kernel: Kernel, sites: Sites) -> None:
        self.kernel = kernel.counting_holes()
        """Its memory counts the holes that were met here."""
        self._aside = kernel.counting_holes()
        """For what is read once, whenever it is first asked for; it tells its own problems."""
        self.sites = len(sites)
        """Number of call sites; rows of other origins follow theirs."""
        self.most_pages = sites.most_pages(kernel.page)
        """See :meth:`.Sites.most_pages`."""
        self.index = SiteIndex(sites.address)
        self.frames = FrameReader(self.kernel, self.index)
        self.slabs = SlabReader(self.kernel, self.index)
        self.percpu = PerCpuReader(self.kernel, self.index)
        self.percpu_chunks: list[PerCpuObjects] = list(self.percpu)
        walked = page_pools(self.kernel.prog)
        self.pools = sorted(walked.found, key=lambda pool: pool.address)
        """Page pools of network devices, by address."""
        self.marks = PageMarks(self.kernel, self.frames.types, self.pools)
        self.origins = OriginRows(
            self.kernel,
            self.sites,
            self.caches,
            self.percpu_chunks,
            self.frames,
            self.marks,
            lambda: self.sheaves,
            lambda: self.stacks,
        )
        self._unreadable: list[Problem] = []
        self._of_pools = walked.problems
        _ = self.frames.pcp  # read before holes are counted for a pass
        self._before = copy(self.kernel.memory.holes)

    @property
    def caches(self) -> list[Cache]:
        """All slab caches; indexes of caches are those of this list."""
        return self.slabs.caches

    @property
    def pages(self) -> int:
        """Page frames that have a struct page."""
        return sum(section.pages for section in self.frames.sections)

    def __iter__(self) -> Iterator[Part]:
        """All parts, ascending; largest free blocks are left out: see :class:`.FrameReader`."""
        self.kernel.memory.holes = copy(self._before)
        self.origins.begin()
        for frames in self.frames:
            self.origins.mark_frames(frames)
            yield Part(frames, self.most_pages, self.slabs, self.origins)

    def show(self, *visitors: Visitor, progress: Progress | None = None) -> None:
        """Let all visitors look at each part: one pass for all of them."""
        for part in self.parts(progress):
            for visitor in visitors:
                visitor.part(part)

    def parts(self, progress: Progress | None = None) -> Iterator[Part]:
        """All parts, ascending; *progress* hears of each when the next one is asked for."""
        done = 0
        if progress:
            progress(Phase.PAGES, done, self.pages)
        for part in self:
            yield part
            done += part.frames.section.pages
            if progress:
                progress(Phase.PAGES, done + self.frames.free_pages, self.pages)

    @cached_property
    def stacks(self) -> KeptStacks:
        """The stacks that the kernel kept of allocations, if it did."""
        return KeptStacks(self.kernel, self.frames.sections, self.caches, self.frames.kfence)

    @cached_property
    def boot_memory(self) -> BootMemory:
        """Uses of memory since boot: see :func:`.boot_memory.boot_memory`."""
        found = boot_memory(self.kernel.prog, self.frames.sections, self.frames.page_size)
        start, end = self.frames.kfence
        pool = [Span(start, end, KFENCE)] if start < end else []
        pool += bounce_buffers(self.kernel.prog)
        labels = list(dict.fromkeys([*found.labels, *(span.label for span in pool)]))
        return BootMemory(labels, found.spans + pool, found.problems)

    @cached_property
    def cma(self) -> list[Span]:
        """Areas of the contiguous memory allocator."""
        return cma_areas(self.kernel.prog)

    @cached_property
    def free_in_use(self) -> npt.NDArray[np.int64]:
        """Free objects that slabs count as in use: shape (number of caches,)."""
        return free_but_in_slabs_use(self._aside, self.caches, self.sheaves, self._unreadable)

    @cached_property
    def cpu_slabs(self) -> npt.NDArray[np.int64]:
        """Page frames at which the slabs begin that CPUs keep for themselves, ascending."""
        slabs = cpu_slabs(self._aside, self.caches, self._unreadable)
        return np.sort(self.frames.pfn_of(slabs))

    @cached_property
    def charges(self) -> Charges:
        """The memory cgroups that memory is charged to."""
        return Charges(self.kernel)

    @cached_property
    def sheaves(self) -> Sheaves:
        """All sheaves of slab caches."""
        found = sheaves(self._aside, self.caches)
        self._unreadable += found.problems
        return found

    def problems_of_objects(self) -> list[Problem]:
        """Memory that was unreadable in the last pass, and before it, in finding objects."""
        self.origins.read_free_lists()
        found = [*self.slabs.problems, *self._unreadable]
        found += dict.fromkeys(p for p in self.origins.problems if p not in found)
        return [*found, *self.percpu.problems, *self.frames.problems]

    def problems(self) -> list[Problem]:
        """Unreadable memory of the last pass, and before it."""
        found = [*self.boot_memory.problems, *self.problems_of_objects()]
        found += self.origins.of_stacks + self._of_pools
        holes = self.kernel.memory.holes
        pages = f"{holes.pages:,} pages that describe memory"
        if holes.pages and self.kernel.state != "dead":
            subject = f"{pages} could not be read, or what points at them changed meanwhile"
            found.append(Problem(Code.LIMITED, f"{subject} ({holes.reason})"))
        elif holes.pages:
            cause = damage_cause(self.kernel)
            missing = Problem(Code.MISSING, pages, cause, many=True)
            if not cause:
                missing = Problem(Code.LIMITED, f"{missing} ({holes.reason})")
            found.append(missing)
        return found
