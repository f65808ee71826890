# SPDX-License-Identifier: LGPL-2.1-or-later
"""Growth of call sites between two moments of one running kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..arrays import Columns, Int
from ..kernel.tags.sites import Sites
from .sums import Total, counted_once, total

WatchSortBy = Literal["growth", "last", "calls", "after", "name"]


@dataclass
class Growth(Columns):
    """One round of watching; columns have shape (number of sites,)."""

    round: int
    """Counted from 1."""
    elapsed: float
    """Seconds since the start."""
    sites: Sites
    bytes: Int
    """Bytes that a site holds more than at the start; negative if less."""
    calls: Int
    """Allocations, likewise."""
    last: Int
    """Bytes more than in the round before."""
    now: Total
    """Sums over all sites that are watched."""
    total_bytes: int
    """Growth of these sums, sites that are gone included."""
    total_calls: int


def match(before: Sites, now: Sites) -> npt.NDArray[np.intp]:
    """Match sites: the row of *before* that each row of *now* continues; -1 for a new site.

    A site is known by the address of its tag. A module that was loaded again has its tags
    elsewhere: they go on from those of the same names that are no longer there.
    """
    if before.address is now.address:
        return np.arange(len(now))
    rows = np.full(len(now), -1, np.intp)
    if not len(before):
        return rows
    order = np.argsort(before.address, kind="stable")
    where = order[np.searchsorted(before.address[order], now.address).clip(max=len(before) - 1)]
    same = (before.address[where] == now.address) & (before.line[where] == now.line)
    rows[same] = where[same]
    left = np.ones(len(before), np.bool_)
    left[rows[same]] = False
    gone: dict[tuple[str, int, str, str], list[int]] = {}
    for i in np.flatnonzero(left)[::-1].tolist():
        gone.setdefault(_names(before, i), []).append(i)
    for i in np.flatnonzero(~same).tolist():
        same_names = gone.get(_names(now, i))
        if same_names:
            rows[i] = same_names.pop()
    return rows


def _names(sites: Sites, i: int) -> tuple[str, int, str, str]:
    return sites.file[i], int(sites.line[i]), sites.function[i], sites.module[i]


def since(before: Sites, now: Sites) -> tuple[Int, Int]:
    """Bytes and calls that each site of *now* has more than in *before*."""
    rows = match(before, now)
    old = rows >= 0
    size, calls = now.bytes.copy(), now.calls.view(np.int64).copy()
    size[old] -= before.bytes[rows[old]]
    calls[old] -= before.calls.view(np.int64)[rows[old]]
    return size, calls


class Watch:
    """Compares each round with the start and with the round before.

    :param start: the sites at the start
    """

    def __init__(self, start: Sites) -> None:
        self._start = self._last = start
        self._total = total(start)
        self._rounds = 0

    def round(self, now: Sites, elapsed: float) -> Growth:
        """The growth up to *now*.

        :param elapsed: seconds since the start
        """
        self._rounds += 1
        size, calls = since(self._start, now)
        last, _ = since(self._last, now)
        self._last = now
        sums = total(now)
        return Growth(
            self._rounds,
            elapsed,
            now,
            size,
            calls,
            last,
            sums,
            sums.bytes - self._total.bytes,
            sums.calls - self._total.calls,
        )


def largest(growth: Growth, top: int, by: WatchSortBy = "growth") -> npt.NDArray[np.intp]:
    """Rows of the first *top* of the sites that grew since the start, in an order; without
    pages whose objects are counted at their sites. Ties keep theirs.

    :param by: numbers are largest first, names ascend
    """
    grown = np.flatnonzero(counted_once(growth.sites, growth.bytes) > 0)
    if by == "name":
        return np.array(sorted(grown.tolist(), key=growth.sites.name)[:top], np.intp)
    keys = {
        "growth": growth.bytes,
        "last": growth.last,
        "calls": growth.calls,
        "after": growth.sites.bytes,
    }
    return grown[np.argsort(-keys[by][grown], kind="stable")[:top]]
