# SPDX-License-Identifier: LGPL-2.1-or-later
"""Growth between two snapshots of call sites."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..arrays import Bool, Columns, Int, Values
from ..kernel.machine.system import System
from ..kernel.tags.sites import Provenance, Sites
from ..result import Result
from .filters import site_names
from .keys import Names
from .site_groups import GroupBy
from .sums import Total, counted_once, total

DiffSortBy = Literal["growth", "calls", "after", "name"]

Function = tuple[str, str, str]
"""Module, file, function."""
Lines = dict[int, list[int]]
"""Rows of a function's sites by line: a macro can be several sites on one line."""


@dataclass
class Snapshot(Result):
    """Call sites at one time, from a dump or a file."""

    path: str
    kind: Literal["dump", "allocinfo", "report"]
    sites: Sites
    system: System | None = None
    """None if the file does not say."""
    reason: str = ""
    """Reason of the kernel's death; empty if it did not die, or the file does not say."""
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Values]:
        """The columns of all sites by name."""
        return self.sites.to_dict()

    def in_short(self) -> str:
        return f"{len(self.sites):,} sites of {self.path}"

    @property
    def total(self) -> Total:
        """Sums over all sites."""
        return total(self.sites)

    @property
    def has_zeros(self) -> bool:
        """True if sites that hold nothing are among them."""
        return bool(((self.sites.bytes == 0) & (self.sites.calls == 0)).any())

    @property
    def build(self) -> tuple[str, str] | None:
        """Identity of the kernel's build; None if unknown."""
        known = self.system is not None and bool(self.system.version)
        return (self.system.release, self.system.version) if known and self.system else None


class Match(StrEnum):
    """Ways to find a row of one snapshot in the other."""

    EXACT = "exact"
    """By file, line, function and module, or it is in one of them only."""
    MOVED = "moved"
    """Loosely: the function has as many sites, so this is the one in the same place."""
    TOGETHER = "together"
    """Loosely: the function has more or fewer sites, so they were added up."""


@dataclass
class Changes(Columns):
    """One row per site or group; all columns have one length."""

    by: GroupBy
    name: npt.NDArray[np.object_]
    before: Int
    """Bytes."""
    after: Int
    calls_before: Int
    calls_after: Int
    counted: Bool
    """Calls are known, before and after."""
    count_before: Int
    """Number of sites in the row; 0 if the snapshot has no such site."""
    count_after: Int
    sites: Sites | None = None
    """Sites as they are after, or as they were if they are gone; None if rows are groups."""
    old_line: Int | None = None
    """Line numbers before, likewise."""
    match: npt.NDArray[np.object_] | None = None
    """A :class:`Match`, likewise."""

    @property
    def growth(self) -> Int:
        """Bytes; negative if it shrank."""
        return self.after - self.before

    @property
    def counted_once(self) -> Int:
        """Growth to add up and to rank by: see :mod:`.sums`."""
        return self.growth if self.sites is None else counted_once(self.sites, self.growth)

    @property
    def calls(self) -> Int:
        """Allocations more than before."""
        return self.calls_after - self.calls_before

    @property
    def new(self) -> Bool:
        """Held nothing before, and does now."""
        return _nothing(self.before, self.calls_before) & ~_nothing(self.after, self.calls_after)

    @property
    def gone(self) -> Bool:
        """Held something before, and nothing now."""
        return ~_nothing(self.before, self.calls_before) & _nothing(self.after, self.calls_after)

    @property
    def changed(self) -> Bool:
        same: Bool = (self.growth == 0) & ((self.calls == 0) | ~self.counted)
        return ~same

    def to_dict(self) -> dict[str, Values]:
        """The columns by name, growth and the sites' names among them."""
        names = self.sites.names(np.arange(len(self))) if self.sites else {}
        return names | super().to_dict() | {"growth": self.growth, "calls_growth": self.calls}

    def _head(self) -> dict[str, Values]:
        """The largest growth first."""
        return order(self).to_dict()

    def in_short(self) -> str:
        return f"{int(np.count_nonzero(self.changed)):,} of {len(self):,} rows changed"


def _nothing(size: Int, calls: Int) -> Bool:
    nothing: Bool = (size == 0) & (calls == 0)
    return nothing


def compare(before: Snapshot, after: Snapshot) -> Changes:
    """One row per site of either snapshot, matched across rebuilds.

    A site is its module, file, function and line. Where a rebuild moved lines, sites of a
    function are matched in their order; where it also gained or lost some, those whose line
    stayed are matched by it, and the others are added up, for the function's growth is
    certain even if that of its sites is not. Several sites on one line are one row.
    """
    a, b = before.sites, after.sites
    pairs = list(_pairs(a, b, _may_have_moved(before, after)))
    old = _Rows([mine for mine, _, _ in pairs], a)
    new = _Rows([yours for _, yours, _ in pairs], b)
    shown = [yours[0] + len(a) if yours else mine[0] for mine, yours, _ in pairs]
    sites = Sites.concatenate([a, b]).take(np.array(shown, np.intp))
    sites.inaccurate = old.any(a.inaccurate) | new.any(b.inaccurate)
    lines = [int(a.line[mine[0]] if mine else b.line[yours[0]]) for mine, yours, _ in pairs]
    return Changes(
        by="site",
        name=site_names(sites),
        before=old.sum(a.bytes),
        after=new.sum(b.bytes),
        calls_before=old.sum(a.calls.view(np.int64)),
        calls_after=new.sum(b.calls.view(np.int64)),
        counted=~(
            old.any(a.evidence != Provenance.COUNTER) | new.any(b.evidence != Provenance.COUNTER)
        ),
        count_before=old.sum(np.ones(len(a), np.int64)),
        count_after=new.sum(np.ones(len(b), np.int64)),
        sites=sites,
        old_line=np.array(lines, np.int64),
        match=np.array([match for *_, match in pairs], np.object_),
    )


class _Rows:
    """Adds up a snapshot's sites to the rows of the comparison."""

    def __init__(self, rows: list[list[int]], sites: Sites) -> None:
        self._count = len(rows)
        self._where = np.zeros(len(sites), np.intp)
        for i, part in enumerate(rows):
            self._where[part] = i

    def sum(self, values: Int) -> Int:
        out = np.zeros(self._count, np.int64)
        np.add.at(out, self._where, values)
        return out

    def any(self, values: Bool) -> Bool:
        out = np.zeros(self._count, np.bool_)
        np.logical_or.at(out, self._where, values)
        return out


def _may_have_moved(before: Snapshot, after: Snapshot) -> bool:
    """Tell if a line that only one snapshot has can be another line of the other.

    If neither has the sites that hold nothing, a function can seem to have moved a site
    when in truth another one holds memory now. Then only a known rebuild is believed.
    """
    if before.has_zeros or after.has_zeros:
        return True
    return None not in (before.build, after.build) and before.build != after.build


def _pairs(
    before: Sites, after: Sites, loosely: bool
) -> Iterator[tuple[list[int], list[int], Match]]:
    """Rows before, rows after, and the way they were matched; each row once."""
    old, new = _by_function(before), _by_function(after)
    for function in dict.fromkeys([*new, *old]):
        mine, yours = old.get(function, {}), new.get(function, {})
        if loosely and len(mine) == len(yours):
            for a, b in zip(sorted(mine), sorted(yours), strict=True):
                yield mine[a], yours[b], Match.EXACT if a == b else Match.MOVED
            continue
        for line in sorted(mine.keys() & yours.keys()):
            yield mine.pop(line), yours.pop(line), Match.EXACT
        if loosely and mine and yours:
            yield _rows(mine), _rows(yours), Match.TOGETHER
            continue
        for rows in mine.values():
            yield rows, [], Match.EXACT
        for rows in yours.values():
            yield [], rows, Match.EXACT


def _rows(lines: Lines) -> list[int]:
    return [row for line in sorted(lines) for row in lines[line]]


def _by_function(sites: Sites) -> dict[Function, Lines]:
    out: dict[Function, Lines] = defaultdict(lambda: defaultdict(list))
    columns = (sites.module, sites.file, sites.function, sites.line.tolist())
    for row, (module, file, function, line) in enumerate(zip(*columns, strict=True)):
        out[module, file, function][line].append(row)
    return out


def group(changes: Changes, by: GroupBy) -> Changes:
    """Add up the sites of each function, file, directory or module; no byte twice."""
    if by == "site":
        return changes
    assert changes.sites is not None
    changes = changes.take(~changes.sites.backing)
    assert changes.sites is not None
    where, names = Names(changes.sites).groups(by)

    def by_group(column: Int) -> Int:
        out = np.zeros(len(names), np.int64)
        np.add.at(out, where, column)
        return out

    counted = np.ones(len(names), np.bool_)
    np.logical_and.at(counted, where, changes.counted)
    return Changes(
        by=by,
        name=np.array(names, np.object_),
        before=by_group(changes.before),
        after=by_group(changes.after),
        calls_before=by_group(changes.calls_before),
        calls_after=by_group(changes.calls_after),
        counted=counted,
        count_before=by_group(changes.count_before),
        count_after=by_group(changes.count_after),
    )


def order(changes: Changes, by: DiffSortBy = "growth", top: int | None = None) -> Changes:
    """Sort rows, largest growth first (names ascending), and keep the first *top*.

    By bytes, pages whose objects are counted elsewhere rank as if they held nothing.
    """
    if by == "name":
        index = np.argsort(changes.name.astype(str), kind="stable")
    else:
        sites, after = changes.sites, changes.after
        after = after if sites is None else counted_once(sites, after)
        key = {"growth": changes.counted_once, "calls": changes.calls, "after": after}[by]
        index = np.argsort(-key, kind="stable")
    return changes.take(index[:top])


@dataclass(frozen=True)
class Summary:
    """Of rows; sizes in bytes, each byte counted once."""

    rows: int
    grown: int
    """Sum of growth of the rows that grew."""
    shrunk: int
    """Sum of shrinkage of the rows that shrank, positive."""
    new: int
    """Number of rows that held nothing before."""
    gone: int
    loose: int
    """Number of rows matched loosely."""


def summary(changes: Changes) -> Summary:
    """Sums over rows."""
    growth, match = changes.counted_once, changes.match
    return Summary(
        rows=len(changes),
        grown=int(growth[growth > 0].sum()),
        shrunk=int(-growth[growth < 0].sum()),
        new=int(np.count_nonzero(changes.new)),
        gone=int(np.count_nonzero(changes.gone)),
        loose=0 if match is None else int(np.count_nonzero(match != Match.EXACT)),
    )
