# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counters against memory, site by site, and why they differ."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from ..arrays import Columns, Int, Values
from ..kernel.bugs import Bug
from ..kernel.tags.profile import Completeness
from ..kernel.tags.profiling import Profiling
from ..kernel.tags.sites import Provenance, Sites
from .attribution import Attribution


class Cause(StrEnum):
    """Causes of a difference between a site's counter and its references."""

    AGREES = ""
    COUNTERS_GONE = "counters freed with the module"
    COUNTERS_INCOMPLETE = "counters incomplete in the dump"
    INACCURATE = "marked inaccurate by the kernel"
    SWITCHED_OFF = "profiling was switched off"
    MOVED = "changed while it was read"
    EXCLUDED = "references excluded from the dump"
    NO_VECTOR = "objects without an extension vector"
    MIGRATED = "kernel bug: migrated pages, fixed by 51f43d5d82ed in 6.13"
    UNNAMED_TAG = "kernel bug: page flags cannot name the site, fixed in 7.3"
    NO_CALLS = "the kernel's own accounting: bytes without an allocation"
    UNEXPLAINED = "unexplained"


class PerCpuAccounting(StrEnum):
    """Ways in which kernels count a per-CPU allocation; types do not tell, counters do."""

    ONE_COPY = "one CPU's copy"
    ALL_COPIES = "all CPUs' copies and the memory cgroup pointers"
    """``pcpu_obj_full_size()``"""


@dataclass
class Audit(Columns):
    """One row per site, as in the report; sizes in bytes."""

    counter: Int
    pages: Int
    inferred: Int
    objects: Int
    percpu: Int
    """As the kernel accounts it."""
    calls: Int
    """By references."""
    cause: npt.NDArray[np.object_]
    """A :class:`Cause`."""
    accounting: PerCpuAccounting | None
    """None if no site tells: per-CPU bytes are then those of one copy."""
    strays: dict[int, tuple[int, int]]
    """References to no known tag: address to (references, bytes)."""
    sites: Sites | None = None
    """The same sites in the report."""

    @property
    def memory(self) -> Int:
        """Bytes by references of all kinds, inferred orders included."""
        return self.pages + self.inferred + self.objects + self.percpu

    @property
    def difference(self) -> Int:
        """Bytes counted but not found; negative if more was found than counted."""
        return self.counter - self.memory

    def to_dict(self) -> dict[str, Values]:
        """The columns by name, with :attr:`memory`, :attr:`difference` and the sites' names."""
        names = self.sites.names(np.arange(len(self))) if self.sites else {}
        sums = {"memory": self.memory, "difference": self.difference}
        return names | super().to_dict() | sums

    def in_short(self) -> str:
        agree = int(np.count_nonzero(self.difference == 0))
        return f"{agree:,} of {len(self):,} sites agree, {self.matched():.1%} of counted bytes"

    def _head(self) -> dict[str, Values]:
        """The largest differences first."""
        return self.take(np.argsort(-np.abs(self.difference), kind="stable")).to_dict()

    def matched(self) -> float:
        """Share of counted bytes that references account for, 0 to 1."""
        counted = np.maximum(self.counter, 0)
        missed = np.minimum(np.abs(self.difference), counted)
        return 1 - float(missed.sum()) / float(counted.sum()) if counted.any() else 1.0


def full_size(size: Int, cpus: int, cgroup_pointers: bool) -> Int:
    """``pcpu_obj_full_size()`` in ``mm/percpu-internal.h``."""
    return size * cpus + (size // 4 * 8 if cgroup_pointers else 0)


def audit(
    sites: Sites,
    memory: Attribution,
    *,
    cpus: int,
    cgroup_pointers: bool,
    profiling: Profiling,
    completeness: Completeness,
    moved: npt.NDArray[np.bool_] | None = None,
    bugs: frozenset[Bug] = frozenset(),
    unnamed: tuple[int, int] = (0, 0),
) -> Audit:
    """Compare the counters of all sites with references.

    :param cpus: number of possible CPUs
    :param cgroup_pointers: whether per-CPU objects have pointers to their memory cgroup
    :param moved: sites whose counters changed meanwhile, in a running kernel
    :param bugs: those that the kernel has
    :param unnamed: addresses of tags that page flags cannot name: start, end
    """
    counted = sites.evidence != Provenance.NONE
    others = memory.pages.bytes + memory.inferred.bytes + memory.objects.bytes
    accounting, percpu = _percpu(sites, others, memory, cpus, cgroup_pointers)
    # What follows an allocation may be a page on its way to or from a free list: the counter
    # knows how many there are. Its own sum is not touched by what is inferred.
    room = sites.bytes - memory.pages.bytes - memory.objects.bytes - percpu
    known = (sites.evidence == Provenance.COUNTER) & ~sites.inaccurate
    capped = np.minimum(memory.inferred.bytes, np.maximum(room, 0))
    out = Audit(
        counter=np.where(counted, sites.bytes, 0),
        pages=memory.pages.bytes,
        inferred=np.where(known, capped, memory.inferred.bytes),
        objects=memory.objects.bytes,
        percpu=percpu,
        calls=memory.pages.calls + memory.objects.calls + memory.percpu.calls,
        cause=np.full(len(sites), Cause.AGREES, np.object_),
        accounting=accounting,
        strays=memory.strays,
        sites=sites,
    )
    lost = memory.unreadable_pages or memory.unknown_slabs or memory.slab.unreadable.any()
    excluded = bool(lost or memory.problems or not completeness.complete)
    untracked = int((memory.slab.untracked * [c.size for c in memory.caches]).sum())
    difference, off = out.difference, profiling.state == "off"
    for i in np.flatnonzero((difference != 0) | ~counted).tolist():
        calls = int(out.calls[i])
        out.cause[i] = _cause(sites, i, int(difference[i]), calls, off, excluded, untracked)
        if moved is not None and moved[i]:
            out.cause[i] = Cause.MOVED
    _name_bugs(out, sites, bugs, unnamed, memory.page.bytes)
    return out


_OF_NO_BUG = (Cause.EXCLUDED, Cause.NO_CALLS, Cause.NO_VECTOR, Cause.UNEXPLAINED)
"""Causes that a bug explains better, where it fits."""


def _name_bugs(
    audit: Audit, sites: Sites, bugs: frozenset[Bug], unnamed: tuple[int, int], page: int
) -> None:
    """Name the bug of the kernel that a difference comes from, where it fits to the byte."""
    open_ = np.isin(audit.cause.astype(str), _OF_NO_BUG)
    difference = audit.difference
    if Bug.MIGRATED in bugs:
        # Of each page that was migrated, all bytes were added, and one was taken off.
        left = (difference > 0) & (difference % (page - 1) == 0)
        audit.cause[open_ & left & (sites.calls.view(np.int64) == audit.calls)] = Cause.MIGRATED
    if Bug.UNNAMED_TAGS in bugs:
        start, end = (np.uint64(address) for address in unnamed)
        last = (sites.address >= start) & (sites.address < end)
        audit.cause[open_ & last & (difference > 0)] = Cause.UNNAMED_TAG


def _percpu(
    sites: Sites, others: Int, memory: Attribution, cpus: int, cgroup_pointers: bool
) -> tuple[PerCpuAccounting | None, Int]:
    """The kind of accounting that makes more sites agree, and bytes by it. Linux 7.2 counts
    one copy, 6.12 and 7.3 count all."""
    one, full = memory.percpu.bytes, full_size(memory.percpu.bytes, cpus, cgroup_pointers)
    judged = (one > 0) & (sites.evidence == Provenance.COUNTER)

    def agree(size: Int) -> int:
        return int(np.count_nonzero(sites.bytes[judged] == (others + size)[judged]))

    all_copies, one_copy = agree(full), agree(one)
    if all_copies > one_copy:
        return PerCpuAccounting.ALL_COPIES, full
    return PerCpuAccounting.ONE_COPY if one_copy > all_copies else None, one


def _cause(
    sites: Sites, i: int, difference: int, calls: int, off: bool, excluded: bool, untracked: int
) -> Cause:
    if sites.evidence[i] == Provenance.NONE:
        return Cause.COUNTERS_GONE if sites.unloaded[i] else Cause.COUNTERS_INCOMPLETE
    if off:
        return Cause.SWITCHED_OFF
    if sites.inaccurate[i]:
        return Cause.INACCURATE
    if excluded and difference > 0:
        return Cause.EXCLUDED
    if sites.calls[i] == 0 and calls == 0:
        return Cause.NO_CALLS
    if 0 < difference <= untracked:
        return Cause.NO_VECTOR
    return Cause.UNEXPLAINED
