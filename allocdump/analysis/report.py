# SPDX-License-Identifier: LGPL-2.1-or-later
"""The allocation report: choose, order and group call sites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..arrays import Columns, Values
from ..kernel.machine.system import System
from ..kernel.tags.codetag import CodetagType
from ..kernel.tags.profile import Completeness
from ..kernel.tags.profiling import Profiling
from ..kernel.tags.sites import UNKNOWN, Provenance, Sites
from ..result import Result
from ..source.program import State
from .filters import matching, site_names
from .sums import Total, counted_once, total

GroupBy = Literal["site", "function", "file", "directory", "module"]
SortBy = Literal["size", "calls", "average", "name", "kernel"]

BUILT_IN = "(built-in)"


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

    def by(self, what: GroupBy) -> ReportRows:
        """Sums over the sites of each function, file, directory or module; largest first."""
        return order(group(self.sites, what))

    def to_dict(self) -> dict[str, Values]:
        """The columns of all sites by name; a site's index is its row everywhere else."""
        return self.sites.to_dict()

    def in_short(self) -> str:
        """The number of sites, the dump and the kernel."""
        origin = self.origin
        return f"{len(self.sites):,} sites of {origin.core}, Linux {origin.system.release}"

    def _head(self) -> dict[str, Values]:
        """The largest first."""
        sites = order(group(self.sites)).sites
        assert sites is not None
        return sites.to_dict()


@dataclass
class ReportRows(Columns):
    """ReportRows to show: one per site or group, all columns of one length."""

    by: GroupBy
    name: npt.NDArray[np.object_]
    """``file:line`` of a site, or the name of a group."""
    bytes: npt.NDArray[np.int64]
    calls: npt.NDArray[np.uint64]
    count: npt.NDArray[np.int64]
    """Number of sites in the row."""
    sites: Sites | None = None
    """The rows' sites if each row is one."""

    def average(self) -> npt.NDArray[np.float64]:
        """Bytes per call; 0 without calls."""
        calls = self.calls.astype(np.float64)
        return np.divide(self.bytes, calls, out=np.zeros(len(self)), where=calls > 0)

    @property
    def counted_once(self) -> npt.NDArray[np.int64]:
        """Bytes to add up and to rank by: see :mod:`.sums`."""
        return self.bytes if self.sites is None else counted_once(self.sites, self.bytes)


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


def group(sites: Sites, by: GroupBy = "site") -> ReportRows:
    """One row per site, or per function, file, directory or module.

    Functions of the same name in different files, static ones, are kept apart. In groups, no
    byte is counted twice; sites keep the kernel's numbers.
    """
    if by == "site":
        ones = np.ones(len(sites), np.int64)
        return ReportRows(by, site_names(sites), sites.bytes, sites.calls, ones, sites)
    sites = sites.take(~sites.backing)
    names, where = group_names(sites, by)
    size = np.zeros(len(names), np.int64)
    calls = np.zeros(len(names), np.uint64)
    np.add.at(size, where, sites.bytes)
    np.add.at(calls, where, sites.calls)
    return ReportRows(by, names, size, calls, np.bincount(where, minlength=len(names)))


def group_names(sites: Sites, by: GroupBy) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.intp]]:
    """The names of groups, and for each site the index of its own."""
    keys = list(map(partial(group_name, by), sites.file, sites.function, sites.module))
    index = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    where = np.fromiter((index[k] for k in keys), np.intp, len(keys))
    return np.array(list(index), np.object_), where


def directory(file: str, module: str) -> str:
    """The directory of a source file; that of out-of-tree modules often means nothing."""
    head = file.rpartition("/")[0]
    return head or (f"[{module}]" if module else UNKNOWN if file == UNKNOWN else ".")


def group_name(by: GroupBy, file: str, function: str, module: str) -> str:
    """The name of the group of a site.

    :raises KeyError: for *by* ``site``, which is no group
    """
    return _KEYS[by](file, function, module)


_KEYS: dict[str, Callable[[str, str, str], str]] = {
    "function": lambda file, function, module: f"{function} ({file})",
    "file": lambda file, function, module: file,
    "directory": lambda file, function, module: directory(file, module),
    "module": lambda file, function, module: module or BUILT_IN,
}


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
