# SPDX-License-Identifier: LGPL-2.1-or-later
"""Growth, and how sites are found again in a rebuilt kernel."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import pytest

from allocdump.analysis.diff import Match, Snapshot, compare, group, order, summary
from allocdump.kernel.machine.system import System
from allocdump.kernel.tags.sites import Provenance

from ..samples import Marks, sites

ZERO = ("zero.c", 1, "zero", "", 0, 0)
"""Makes a snapshot one that has sites which hold nothing."""


def snapshot(
    *rows: tuple[str, int, str, str, int, int], build: str | None = None, **how: Unpack[Marks]
) -> Snapshot:
    system = System("6.12", build, "", "", None) if build else None
    return Snapshot("file", "report", sites(*rows, **how), system)


def changed(before: Snapshot, after: Snapshot) -> list[tuple[str, int, int, Match]]:
    """Name, bytes before and after, and match of each row that is not ZERO."""
    rows = compare(before, after)
    assert rows.match is not None
    assert rows.sites is not None
    return sorted(
        (rows.name[i], int(rows.before[i]), int(rows.after[i]), rows.match[i])
        for i in range(len(rows))
        if rows.sites.file[i] != "zero.c"
    )


def of(
    *lines: tuple[int, int], function: str = "f", module: str = ""
) -> list[tuple[str, int, str, str, int, int]]:
    """Sites of one function by {line: bytes}."""
    return [("a.c", line, function, module, size, 1) for line, size in lines]


def test_sites_that_stayed() -> None:
    before = snapshot(*of((10, 5), (20, 7)), ZERO)
    after = snapshot(*of((10, 6), (20, 7)), ZERO)
    assert changed(before, after) == [("a.c:10", 5, 6, "exact"), ("a.c:20", 7, 7, "exact")]


def test_lines_moved_by_a_rebuild() -> None:
    before = snapshot(*of((10, 5), (20, 7)), ZERO)
    # By exactly what is between them: line 20 is another site now.
    after = snapshot(*of((20, 5), (30, 9)), ZERO)
    rows = compare(before, after)
    assert changed(before, after) == [("a.c:20", 5, 5, "moved"), ("a.c:30", 7, 9, "moved")]
    assert rows.old_line is not None
    assert sorted(rows.old_line.tolist()) == [1, 10, 20]
    assert summary(rows).loose == 2


def test_one_line_of_several_moved() -> None:
    after = snapshot(*of((10, 5), (22, 9)), ZERO)
    assert changed(snapshot(*of((10, 5), (20, 7)), ZERO), after) == [
        ("a.c:10", 5, 5, "exact"),
        ("a.c:22", 7, 9, "moved"),
    ]


def test_a_function_that_gained_a_site() -> None:
    before = snapshot(*of((10, 5), (20, 7)), ZERO)
    stayed = snapshot(*of((10, 5), (20, 7), (30, 1)), ZERO)
    assert changed(before, stayed) == [
        ("a.c:10", 5, 5, "exact"),
        ("a.c:20", 7, 7, "exact"),
        ("a.c:30", 0, 1, "exact"),
    ]
    moved = snapshot(*of((10, 5), (25, 7), (30, 1)), ZERO)
    assert changed(before, moved) == [("a.c:10", 5, 5, "exact"), ("a.c:25", 7, 8, "together")]
    rows = compare(before, moved)
    assert sorted(rows.count_after.tolist()) == [1, 1, 2]
    assert rows.growth.sum() == 1


@pytest.mark.parametrize("other", [{"function": "g"}, {"module": "m"}])
def test_another_function_or_module_is_another_site(other: dict[str, str]) -> None:
    after = snapshot(*of((20, 5), **other), ZERO)
    rows = compare(snapshot(*of((10, 5)), ZERO), after)
    assert sorted(rows.growth.tolist()) == [-5, 0, 5]
    assert (rows.new.sum(), rows.gone.sum()) == (1, 1)


def test_reports_without_empty_sites_are_matched_loosely_only_after_a_rebuild() -> None:
    """Another site of the function may hold memory now, and the first one none."""
    lines = [*of((10, 5))], [*of((20, 5))]
    same = [snapshot(*rows, build="#1") for rows in lines]
    assert [match for *_, match in changed(*same)] == ["exact", "exact"]
    rebuilt = [snapshot(*rows, build=f"#{i}") for i, rows in enumerate(lines)]
    assert changed(*rebuilt) == [("a.c:20", 5, 5, "moved")]
    unknown = [snapshot(*lines[0], build="#1"), snapshot(*lines[1])]
    assert [match for *_, match in changed(*unknown)] == ["exact", "exact"]


def test_a_site_that_an_incomplete_report_lacks_held_nothing() -> None:
    before = snapshot(*of((20, 7)))
    after = snapshot(*of((10, 5), (20, 7)), ZERO)
    assert changed(before, after) == [("a.c:10", 0, 5, "exact"), ("a.c:20", 7, 7, "exact")]


def test_several_sites_on_one_line_are_one_row() -> None:
    before = snapshot(*of((10, 5), (10, 6)))
    after = snapshot(*of((10, 6), (10, 7)))
    assert changed(before, after) == [("a.c:10", 11, 13, "exact")]


def test_calls_that_nothing_tells() -> None:
    before = snapshot(*of((10, 5), module="m"))
    after = snapshot(*of((10, 5), module="m"), evidence=Provenance.KERNEL_LOG, unloaded=True)
    rows = compare(before, after)
    assert rows.counted.tolist() == [False]
    assert rows.changed.tolist() == [False]


def test_a_mark_of_either_snapshot_is_kept() -> None:
    rows = compare(snapshot(*of((10, 5)), inaccurate=True), snapshot(*of((10, 5))))
    assert rows.sites is not None
    assert rows.sites.inaccurate.tolist() == [True]


def test_nothing_to_compare() -> None:
    nothing = snapshot(ZERO)
    nothing.sites = nothing.sites.take(np.zeros(0, np.intp))
    assert len(compare(nothing, nothing)) == 0
    assert len(group(compare(nothing, nothing), "module")) == 0


MANY = (
    snapshot(("a.c", 1, "f", "", 10, 1), ("b.c", 2, "g", "m", 50, 5), ("c.c", 3, "h", "m", 9, 9)),
    snapshot(("a.c", 1, "f", "", 30, 1), ("b.c", 2, "g", "m", 0, 0), ("d.c", 4, "i", "m", 1, 9)),
)


def test_new_and_gone() -> None:
    rows = compare(*MANY)
    assert set(rows.name[rows.new]) == {"d.c:4"}
    assert set(rows.name[rows.gone]) == {"b.c:2", "c.c:3"}
    found = summary(rows)
    assert (found.grown, found.shrunk, found.new, found.gone) == (21, 59, 1, 2)


def test_order() -> None:
    rows = compare(*MANY)
    assert list(order(rows).name) == ["a.c:1", "d.c:4", "c.c:3", "b.c:2"]
    assert order(rows, "calls").name[0] == "d.c:4"
    assert list(order(rows, "after", 1).name) == ["a.c:1"]
    assert list(order(rows, "name").name) == ["a.c:1", "b.c:2", "c.c:3", "d.c:4"]


def test_groups() -> None:
    rows = group(compare(*MANY), "module")
    found = {name: (b, a) for name, b, a in zip(rows.name, rows.before, rows.after, strict=True)}
    assert found == {"(built-in)": (10, 30), "m": (59, 1)}
    assert Match.MOVED not in (rows.match or ())
