# SPDX-License-Identifier: LGPL-2.1-or-later
"""The allocation report: choose and order call sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from ..arrays import Columns, Values
from ..kernel.machine.system import System
from ..kernel.tags.codetag import CodetagType
from ..kernel.tags.profile import Completeness
from ..kernel.tags.profiling import Profiling
from ..kernel.tags.sites import Provenance, Sites
from ..result import Result
from ..source.program import State
from .filters import matching, site_names
from .keys import KEYS
from .sums import Total, counted_once, total

if TYPE_CHECKING:
    from .groups import Groups
    from .site_groups import GroupBy

SortBy = Literal["size", "calls", "average", "name", "kernel"]


@dataclass(frozen=True)
class Origin:
    """Source of a report: the machine, and how far to trust its dump."""

    core: str
    """Path of the dump."""
    format: str
    """Of the core file: ``kdump, zstd, -d 31``."""
    types: str
    """``btf`` or ``dwarf``"""
    system: System
    reason: str
    """Reason of the kernel's death; empty if it did not die, or its log does not say."""
    profiling: Profiling
    state: State = "dead"
    """Of the kernel while it was read."""


@dataclass
class Report(Result):
    """All call sites of one kernel, and how they were read."""

    origin: Origin
    sites: Sites
    """In the order of /proc/allocinfo; sites of unloaded modules follow."""
    types: list[CodetagType]
    completeness: Completeness
    warnings: list[str] = field(default_factory=list)
    moved: npt.NDArray[np.bool_] | None = None
    """Marks sites whose counters changed while the report was made, shape (number of sites,);
    None if the kernel did not run."""

    has_profile: bool = True
    """False without a profile: no site has a counter then."""

    @property
    def tagged(self) -> int:
        """Number of call sites; rows of other origins may follow theirs."""
        return self.sites.tagged

    def total(self) -> Total:
        """Sums over all sites, in which every byte is counted once."""
        return total(self.sites)

    def by(self, *keys: GroupBy) -> Groups:
        """Sums over the sites of each function, file, directory or module, or of each combination
        of some of these; largest first."""
        from .counted import by_counters

        return by_counters([KEYS[key] for key in keys], self.sites)

    def to_dict(self) -> dict[str, Values]:
        """The columns of all sites by name; a site's index is its row everywhere else."""
        return self.sites.to_dict()

    def in_short(self) -> str:
        """The number of sites, the dump and the kernel."""
        origin = self.origin
        return f"{len(self.sites):,} sites of {origin.core}, Linux {origin.system.release}"

    def _head(self) -> dict[str, Values]:
        """The largest first."""
        return order(rows_of(self.sites)).sites.to_dict()


@dataclass
class ReportRows(Columns):
    """Sites to show; all columns have shape (number of sites,)."""

    name: npt.NDArray[np.object_]
    """``file:line``"""
    bytes: npt.NDArray[np.int64]
    calls: npt.NDArray[np.uint64]
    sites: Sites

    def average(self) -> npt.NDArray[np.float64]:
        """Bytes per call; 0 without calls."""
        calls = self.calls.astype(np.float64)
        return np.divide(self.bytes, calls, out=np.zeros(len(self)), where=calls > 0)

    @property
    def counted_once(self) -> npt.NDArray[np.int64]:
        """Bytes to add up and to rank by: see :mod:`.sums`."""
        return counted_once(self.sites, self.bytes)


def choose(
    sites: Sites,
    *,
    filters: Sequence[str] = (),
    zeros: bool = False,
    unloaded: bool = True,
) -> Sites:
    """The sites that match all *filters*.

    :param zeros: keep sites that hold nothing
    :param unloaded: keep sites of unloaded modules
    :raises FilterError: if no site matches, whatever it holds
    """
    keep = matching(sites, filters)
    if not zeros:
        of_gone = sites.unloaded & (sites.evidence == Provenance.NONE)
        keep &= (sites.bytes != 0) | (sites.calls != 0) | of_gone
    if not unloaded:
        keep &= ~sites.unloaded
    return sites.take(keep)


def rows_of(sites: Sites) -> ReportRows:
    """One row for each site, with the kernel's numbers."""
    return ReportRows(site_names(sites), sites.bytes, sites.calls, sites)


def order(rows: ReportRows, by: SortBy = "size", top: int | None = None) -> ReportRows:
    """Sort rows, largest first (names ascending), and keep the first *top*.

    Ties keep the kernel's order. By size, pages whose objects are counted elsewhere come
    after all sites that hold more than nothing.
    """
    if by == "kernel":
        index = np.arange(len(rows))
    elif by == "name":
        index = np.argsort(rows.name.astype(str), kind="stable")
    else:
        keys = {"size": rows.counted_once, "calls": rows.calls.view(np.int64)}
        key = rows.average() if by == "average" else keys[by]
        index = np.argsort(-key, kind="stable")
    return rows.take(index[:top])
