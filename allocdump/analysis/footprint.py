# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that each call site really keeps from others: more than it asked for.

Counters count what was asked for. An object keeps its part of a slab, with the room
that nobody uses; a per-CPU allocation has a copy for each CPU. Divided up like this, no
page is counted twice, and all of them together are all memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..arrays import Columns, Int, sum_by
from ..kernel.mm.page_types import PageKind
from ..kernel.tags.roles import Role
from ..kernel.tags.sites import Sites
from .attribution import Attribution
from .totals import ObjectTotals

USER_KINDS = (PageKind.ANONYMOUS, PageKind.CACHE, PageKind.SHMEM, PageKind.HUGETLB)
"""Memory that user tasks, not the kernel, asked for."""

_NO_SITE = {
    PageKind.FREE: "free",
    PageKind.FREE_PCP: "free",
    PageKind.RESERVED: "kept since boot",
    PageKind.PAGE_TABLE: "page tables without a site",
    PageKind.ANONYMOUS: "user memory without a site",
    PageKind.CACHE: "user memory without a site",
    PageKind.SHMEM: "user memory without a site",
    PageKind.HUGETLB: "user memory without a site",
    PageKind.OFFLINE: "given back to the hypervisor",
    PageKind.POISONED: "lost to hardware errors",
    PageKind.UNREADABLE: "struct page not in the dump",
}
_OTHER = "other pages without a site"


@dataclass
class Footprint(Columns):
    """Bytes by site; columns of shape (number of sites,)."""

    pages: Int
    """Pages of the kernel's own, those in vmalloc areas included."""
    user: Int
    """Pages that belong to user tasks: anonymous, page cache, tmpfs, huge pages."""
    slab: Int
    """Slab objects with their share of the slabs."""
    percpu: Int
    """Per-CPU objects, all CPUs' copies."""
    vmalloc: Int
    """The part of *pages* that lies in vmalloc areas."""
    reclaimable: Int
    """The part of *slab* in caches that shrink when memory is short."""
    pinned: Int
    """The part of *slab* that would be reclaimable if it were not in use, as far as is known."""
    without: dict[str, int] = field(default_factory=dict)
    """Memory without a site, by its class."""

    @property
    def kernel(self) -> Int:
        """Bytes that do not belong to user tasks."""
        return self.pages + self.slab + self.percpu

    @property
    def total(self) -> Int:
        return self.kernel + self.user

    def memory(self) -> int:
        """All memory: of sites, and without a site."""
        return int(self.total.sum()) + sum(self.without.values())


def footprint(
    sites: Sites,
    memory: Attribution,
    objects: ObjectTotals,
    cpus: int,
    in_use: Callable[[str], float] = lambda cache: 0.0,
) -> Footprint:
    """Divide all memory up among sites.

    :param objects: all slab objects that have a site
    :param cpus: number of possible CPUs
    :param in_use: the part of a slab cache, by its name, that cannot shrink, since it is in use
    """
    count = len(sites)
    page = memory.page.bytes
    by_kind = memory.kinds * page
    without: dict[str, int] = {}

    def add(what: str, size: int) -> None:
        if size:
            without[what] = without.get(what, 0) + size

    user = by_kind[list(USER_KINDS), :count].sum(axis=0)
    pages = by_kind[:, :count].sum(axis=0) - by_kind[PageKind.SLAB, :count] - user
    for kind in PageKind:
        if kind != PageKind.SLAB:
            add(_NO_SITE.get(kind, _OTHER), int(by_kind[kind, count:].sum()))
    percpu = _percpu(sites, memory, pages, cpus)
    slab, reclaimable, pinned = _slabs(memory, objects, count, in_use)
    add("slab memory without a site", int(by_kind[PageKind.SLAB].sum() - slab.sum()))
    return Footprint(
        pages=pages,
        user=user,
        slab=slab,
        percpu=percpu,
        vmalloc=np.minimum(pages, memory.vmalloc[:count] * page),
        reclaimable=reclaimable,
        pinned=pinned,
        without=without,
    )


def _percpu(sites: Sites, memory: Attribution, pages: Int, cpus: int) -> Int:
    """Give the pages of per-CPU chunks to their users; the rest stays in *pages*."""
    of_chunks = sites.role == Role.PERCPU
    copies = memory.percpu.bytes * cpus
    wanted, there = int(copies.sum()), int(pages[of_chunks].sum())
    if wanted > there:  # damaged, or chunks without pages of their own
        copies = copies * there // wanted
    rest = int(copies.sum())
    for i in np.flatnonzero(of_chunks).tolist():
        taken = min(rest, int(pages[i]))
        pages[i] -= taken
        rest -= taken
    return copies


def _slabs(
    memory: Attribution, objects: ObjectTotals, count: int, in_use: Callable[[str], float]
) -> tuple[Int, Int, Int]:
    """Divide each cache's slabs evenly among the objects in them, by site.

    Objects in use that no site holds get their part, too: it stays with nobody.
    """
    use, caches = memory.slab, len(memory.caches)
    of_slab = (objects.cache >= 0) & (objects.site < count)
    site, cache, held = (
        column[of_slab] for column in (objects.site, objects.cache, objects.objects)
    )
    known = sum_by(cache, held, caches)
    others = np.maximum(use.in_use - known, 0)
    size = use.pages * memory.page.bytes
    share = size[cache] * held // np.maximum(known + others, 1)[cache]
    # Bytes lost to rounding go to the first, which has most, if all is theirs.
    lost = size - sum_by(cache, share, caches)
    first = np.unique(cache, return_index=True)[1]
    first = first[others[cache[first]] == 0]
    share[first] += lost[cache[first]]
    shrinking = np.array([c.reclaimable for c in memory.caches], np.bool_)[cache]
    used = np.array([in_use(c.name) for c in memory.caches])[cache]
    pinned = np.where(shrinking, share * used, 0).astype(np.int64)
    could = np.where(shrinking, share - pinned, 0)
    return sum_by(site, share, count), sum_by(site, could, count), sum_by(site, pinned, count)
