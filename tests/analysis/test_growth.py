# SPDX-License-Identifier: LGPL-2.1-or-later
"""What sites grew by, with modules that come and go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from allocdump.analysis.growth import Watch, largest, match, since
from allocdump.kernel.tags.sites import Sites

from ..samples import sites


def at(columns: Sites, *addresses: int) -> Sites:
    return replace(columns, address=np.array(addresses, np.uint64))


def grown(columns: Sites, *more: int) -> Sites:
    return replace(columns, bytes=columns.bytes + np.array(more))


A = ("mm/a.c", 1, "a", "", 100, 1)
B = ("mm/b.c", 2, "b", "", 200, 2)
MOD = ("mod.c", 3, "m", "mod", 300, 3)


def test_same_sites() -> None:
    before = sites(A, B)
    now = replace(grown(before, 50, -20), calls=before.calls + np.uint64(1))
    size, calls = since(before, now)
    assert size.tolist() == [50, -20]
    assert calls.tolist() == [1, 1]


def test_fewer_calls_are_negative() -> None:
    size, calls = since(sites(A), sites(("mm/a.c", 1, "a", "", 0, 0)))
    assert (size.tolist(), calls.tolist()) == ([-100], [-1])


def test_a_module_that_is_loaded_meanwhile_grows_from_nothing() -> None:
    before, now = at(sites(A), 10), at(sites(A, MOD), 10, 30)
    assert match(before, now).tolist() == [0, -1]
    assert since(before, now)[0].tolist() == [0, 300]


def test_nothing_at_the_start() -> None:
    nothing = sites(A).take(np.zeros(1, np.bool_))
    assert since(nothing, sites(A))[0].tolist() == [100]


def test_a_module_that_goes() -> None:
    before, now = at(sites(A, MOD, B), 10, 30, 20), at(sites(A, B), 10, 20)
    assert match(before, now).tolist() == [0, 2]
    assert since(before, now)[0].tolist() == [0, 0]
    watch = Watch(before)
    assert watch.round(now, 1.0).total_bytes == -300


def test_a_module_that_is_loaded_again_elsewhere() -> None:
    again = ("mod.c", 3, "m", "mod", 700, 7)
    before, now = at(sites(A, MOD), 10, 30), at(sites(A, again), 10, 90)
    assert since(before, now)[0].tolist() == [0, 400]


def test_another_module_at_the_same_place() -> None:
    other = ("other.c", 9, "o", "other", 50, 1)
    before, now = at(sites(A, MOD), 10, 30), at(sites(A, other), 10, 30)
    assert match(before, now).tolist() == [0, -1]


def test_what_an_unloaded_module_left_is_the_same_site() -> None:
    """Its tags stay where they are, though their names may be lost."""
    left = ("?", 3, "?", "?", 300, 3)
    before, now = at(sites(A, MOD), 10, 30), at(sites(A, left), 10, 30)
    assert since(before, now)[0].tolist() == [0, 0]


def test_two_sites_of_one_name() -> None:
    before = at(sites(MOD, MOD), 30, 40)
    now = at(sites(MOD, MOD, MOD), 90, 91, 92)
    assert sorted(match(before, now).tolist()) == [-1, 0, 1]


def test_rounds() -> None:
    start = sites(A, B)
    watch = Watch(start)
    one = watch.round(grown(start, 10, 0), 1.0)
    two = watch.round(grown(start, 15, 30), 2.5)
    assert (one.round, two.round, two.elapsed) == (1, 2, 2.5)
    assert one.last.tolist() == [10, 0]
    assert two.bytes.tolist() == [15, 30]
    assert two.last.tolist() == [5, 30]
    assert two.total_bytes == 45


@pytest.mark.parametrize(("top", "rows"), [(1, [1]), (9, [1, 0])])
def test_largest(top: int, rows: list[int]) -> None:
    start = sites(A, B, MOD)
    growth = Watch(start).round(grown(start, 1, 5, -5), 1.0)
    assert largest(growth, top).tolist() == rows
