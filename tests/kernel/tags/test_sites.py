# SPDX-License-Identifier: LGPL-2.1-or-later
"""Columns of call sites."""

from __future__ import annotations

import pytest

from allocdump.arch.base import PageSize
from allocdump.kernel.tags.sites import Provenance, Site, Sites


def site(
    bytes_: int = 0,
    calls: int = 0,
    *,
    inaccurate: bool = False,
    evidence: Provenance = Provenance.COUNTER,
) -> Site:
    return Site("a.c", 1, "f", "", bytes_, calls, inaccurate, evidence=evidence)


@pytest.mark.parametrize(
    ("bytes_", "calls", "most"),
    [
        (4096, 1, 1),
        (20480, 5, 1),
        (98304, 3, 22),
        # Objects are among them.
        (65536 + 512, 9, 16),
        (4096, 64, 1),
        (0, 0, 1),
        (-4096, 0, 1),
        # Damaged.
        (8192, (1 << 64) - 1, 2),
    ],
)
def test_most_pages_of_an_allocation(bytes_: int, calls: int, most: int) -> None:
    assert Sites.of([site(bytes_, calls)]).most_pages(PageSize(12)).tolist() == [most]


def test_counters_that_are_not_exact_bound_nothing() -> None:
    sites = [site(inaccurate=True), site(evidence=Provenance.NONE)]
    assert Sites.of(sites).most_pages(PageSize(12)).min() > 1 << 40
