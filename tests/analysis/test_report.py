# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from allocdump.analysis.counted import by_counters
from allocdump.analysis.filters import site_names
from allocdump.analysis.keys import KEYS
from allocdump.analysis.report import choose, order, rows_of
from allocdump.analysis.site_groups import GroupBy
from allocdump.analysis.sums import total
from allocdump.errors import FilterError
from allocdump.kernel.tags.sites import Provenance, Sites

from ..samples import sites


def names(chosen: Sites) -> list[str]:
    return [str(name) for name in site_names(chosen)]


SITES = sites(
    ("mm/slub.c", 100, "new_slab", "", 8192, 2),
    ("mm/util.c", 5, "kmemdup", "", 0, 0),
    ("fs/ext4/super.c", 7, "init", "ext4", 100, 10),
    ("lib/util.c", 5, "kmemdup", "", 300, 1),
    ("leaker.c", 10, "get", "leaker", 1 << 40, 1 << 33),
    ("x.c", 1, "f", "ext4", -50, 0),
)


def test_zero_sites_are_left_out_unless_asked_for() -> None:
    assert "mm/util.c:5" not in names(choose(SITES))
    assert names(choose(SITES, zeros=True)) == names(SITES)


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("mm/*", ["mm/slub.c:100", "mm/util.c:5"]),
        ("leaker.c:10", ["leaker.c:10"]),
        ("leaker.c:*", ["leaker.c:10"]),
        ("ext4", ["fs/ext4/super.c:7", "x.c:1"]),
        ("file=*ext4*", ["fs/ext4/super.c:7"]),
        ("module=ext4", ["fs/ext4/super.c:7", "x.c:1"]),
        ("module=", ["mm/slub.c:100", "mm/util.c:5", "lib/util.c:5"]),
        ("func=kmem*", ["mm/util.c:5", "lib/util.c:5"]),
        ("function=k*[!x]", ["mm/util.c:5", "lib/util.c:5"]),
    ],
)
def test_filters(glob: str, expected: list[str]) -> None:
    assert names(choose(SITES, filters=[glob], zeros=True)) == expected


def test_all_filters_must_match() -> None:
    filters = ["kmemdup", "file=lib/*"]
    assert names(choose(SITES, filters=filters, zeros=True)) == ["lib/util.c:5"]


@pytest.mark.parametrize(
    ("filters", "sentence"),
    [
        (["nosuch"], "No site matches 'nosuch'."),
        (["leker.c"], "No site matches 'leker.c';"
                      " did you mean 'leaker.c' or 'leaker.c:10' or 'leaker'?"),
        (["leaker.c:1"], "No site matches 'leaker.c:1'; did you mean '*leaker.c:1*'?"),
        (["w_slab"], "No site matches 'w_slab'; did you mean '*w_slab*'?"),
        (["func=kmemdap"], "No site matches 'func=kmemdap'; did you mean 'func=kmemdup'?"),
        (["module=kmemdup"], "No site matches 'module=kmemdup'."),
        (["module=EXT4*"], "No site matches 'module=EXT4*'."),
        (["ext4", "mm/*"],
         "No site matches 'ext4' and 'mm/*' at once, though each of them matches some."),
        (["fil=foo"], "Filters have the keys file, function and module, but not 'fil';"
                      " did you mean 'file=foo'?"),
        (["other=mm/*"], "Filters have the keys file, function and module, but not 'other'."),
        (["a/b=c"], "No site matches 'a/b=c'."),
    ],
)  # fmt: skip
def test_a_filter_that_matches_nothing_is_an_error(filters: list[str], sentence: str) -> None:
    with pytest.raises(FilterError) as e:
        choose(SITES, filters=filters)
    assert str(e.value) == sentence
    assert e.value.exit_code == 2


def test_no_site_matches_where_names_are_unreadable() -> None:
    damaged = sites(("?", 1, "?", "", 8, 1), ("a.c", 1, "f", "", 8, 1))
    with pytest.raises(FilterError, match="the names of 1 site are unreadable"):
        choose(damaged, filters=["b.c"])
    with pytest.raises(FilterError, match="there are no sites"):
        choose(Sites.none(), filters=["b.c"])


def test_a_filter_may_match_only_what_holds_nothing() -> None:
    assert names(choose(SITES, filters=["mm/util.c"])) == []


def test_unloaded_sites_can_be_left_out() -> None:
    gone = sites(("a.c", 1, "f", "gone", 10, 1), unloaded=True)
    assert len(choose(gone)) == 1
    assert len(choose(gone, unloaded=False)) == 0


def test_unloaded_sites_of_unknown_size_are_kept() -> None:
    gone = sites(("a.c", 1, "f", "gone", 0, 0), unloaded=True, evidence=Provenance.NONE)
    assert len(choose(gone)) == 1


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("module", {"(built-in)": 8492, "ext4": 50, "leaker": 1 << 40}),
        ("directory", {"mm": 8192, "fs/ext4": 100, "lib": 300, "[leaker]": 1 << 40, "[ext4]": -50}),
        ("file", {"mm/slub.c": 8192, "mm/util.c": 0, "fs/ext4/super.c": 100, "lib/util.c": 300,
                  "leaker.c": 1 << 40, "x.c": -50}),
    ],
)  # fmt: skip
def test_group(by: GroupBy, expected: dict[str, int]) -> None:
    groups = by_counters([KEYS[by]], SITES)
    assert {one.labels[0]: one.sums["bytes"] for one in groups} == expected
    assert groups.total("calls") == total(SITES).calls
    assert sum(one.sites for one in groups) == len(SITES)


def test_functions_of_one_name_in_two_files_stay_apart() -> None:
    names = {one.labels[0] for one in by_counters([KEYS["function"]], SITES)}
    assert {"kmemdup (mm/util.c)", "kmemdup (lib/util.c)"} <= names


def test_order() -> None:
    rows = rows_of(choose(SITES, zeros=True))
    first = {by: order(rows, by, 1).name[0] for by in ("size", "calls", "average", "kernel")}
    assert first == {
        "size": "leaker.c:10",
        "calls": "leaker.c:10",
        "average": "mm/slub.c:100",
        "kernel": "mm/slub.c:100",
    }
    by_name = order(rows, "name").name.tolist()
    assert by_name == sorted(by_name)
    assert order(rows, "size").bytes.tolist() == sorted(rows.bytes.tolist(), reverse=True)
    assert len(order(rows, "size", 100)) == len(rows)


def test_ties_keep_the_kernels_order() -> None:
    same = sites(*[("f.c", i, "f", "", 1, 1) for i in range(50)])
    ordered = order(rows_of(same)).sites
    assert ordered.line.tolist() == list(range(50))


def test_average_without_calls_is_zero() -> None:
    assert rows_of(SITES).average()[-1] == 0
    assert np.isfinite(rows_of(SITES).average()).all()


def test_nothing_chosen() -> None:
    nothing = choose(SITES, filters=["mm/util.c"])
    assert len(order(rows_of(nothing), "average", 5)) == 0
    for by in get_args(GroupBy):
        assert len(by_counters([KEYS[by]], nothing)) == 0
    assert total(nothing).bytes == 0
