# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

from typing import Unpack

import numpy as np
import pytest

from allocdump.analysis.counted import by_counters
from allocdump.analysis.keys import KEYS
from allocdump.analysis.report import choose, order, rows_of
from allocdump.analysis.sums import total
from allocdump.kernel.tags.profile import Completeness
from allocdump.kernel.tags.sites import Provenance, Sites
from allocdump.view import header, units
from allocdump.view.renderer import How
from allocdump.view.report import document, groups
from allocdump.view.text import render

from .. import samples
from ..samples import Marks, Wishes

ROWS = [
    ("drivers/net/ethernet/vendor/some_driver/some_main.c", 123, "probe", "drv", 3 << 20, 3),
    ("mm/slub.c", 9, "new_slab", "", 1 << 20, 256),
]


def shown(sites: Sites, top: int | None = None, **how: Unpack[Wishes]) -> str:
    report = samples.report(sites)
    chosen = choose(sites)
    rows = order(rows_of(chosen), top=top)
    return render(document(report, rows, total(chosen), total(sites)), How(**how))


def shown_by(key: str, sites: Sites, **how: Unpack[Wishes]) -> str:
    report, found, every = samples.report(sites), by_counters([KEYS[key]], sites), total(sites)
    return render(groups(report, found, every, every, None), How(**how))


def test_the_header_says_what_this_is() -> None:
    first = shown(samples.sites(*ROWS)).splitlines()[0]
    assert first == (
        "Linux 6.12.0 | db1 | crashed 2026-01-02 03:04:05 UTC | Kernel panic"
        " | profiling on | 2 sites | complete"
    )


def test_what_is_missing_is_counted_in_the_header() -> None:
    done = Completeness(expected=10, found=7, unnamed=1, uncounted=2)
    report = samples.report(samples.sites(*ROWS), done)
    assert header.completeness(report) == (
        "INCOMPLETE: 3 sites not found, 1 without its name, 2 without whole counters"
    )


def test_rows_and_totals() -> None:
    lines = shown(samples.sites(*ROWS)).splitlines()
    assert lines[2].split() == [
        "SIZE", "SITE", "FUNCTION", "CALLS", "AVERAGE", "SHARE", "MODULE",
    ]  # fmt: skip
    assert lines[3].split() == [
        "3.00", "MiB", f"{ROWS[0][0]}:123", "probe", "3", "1.00", "MiB", "75.0%", "drv",
    ]  # fmt: skip
    assert lines[4].split()[-1] == "(built-in)"
    assert lines[-1] == "2 sites shown: 4.00 MiB; all 2 sites: 4.00 MiB in 259 allocations"


def test_top_says_what_was_left_out() -> None:
    last = shown(samples.sites(*ROWS), top=1).splitlines()[-1]
    assert last.startswith("1 site shown: 3.00 MiB; 2 sites chosen: 4.00 MiB;")


def test_exact_sizes() -> None:
    assert "3,145,728" in shown(samples.sites(*ROWS), exact=True)


@pytest.mark.parametrize("width", [80, 100, 200, None])
def test_lines_fit_the_terminal(width: int | None) -> None:
    out = shown(samples.sites(*ROWS), width=width)
    body = out.splitlines()[2:-2]
    assert width is None or max(map(len, body)) <= width
    if width == 80:
        assert "…/some_main.c:123  probe  " in out
    elif width != 100:
        assert ROWS[0][0] in out


@pytest.mark.parametrize(
    ("by", "start", "end"),
    [("function", "a_long_name_of_a_fu", "…"), ("module", "a_long_name_of_a_mo", "…"),
     ("file", "a/…/", "/directory/name.c"), ("directory", "a/…/", "/directory")],
)  # fmt: skip
def test_names_keep_their_start_and_paths_both_ends(by: str, start: str, end: str) -> None:
    long = "a_long_name_of_a_{}" + "x" * 60
    file = f"a/{'long/' * 12}directory/name.c"
    row = (file, 1, long.format("function"), long.format("module"), 4096, 1)
    lines = shown_by(by, samples.sites(row), width=70).splitlines()
    line = next(line for line in lines if line.startswith("4.00 KiB"))
    name = line.split()[2]
    assert name.startswith(start)
    assert name.endswith(end)
    assert len(line) <= 70


@pytest.mark.parametrize(
    ("how", "note"),
    [
        ({"unloaded": True, "inferred": True}, "module unloaded, name inferred"),
        ({"unloaded": True, "evidence": Provenance.KERNEL_LOG},
         "module unloaded, size from kernel log"),
        ({"unloaded": True, "evidence": Provenance.NONE}, "module unloaded, size unknown"),
        ({"evidence": Provenance.NONE}, "counters incomplete"),
        ({"inaccurate": True}, "inaccurate"),
    ],
)  # fmt: skip
def test_notes(how: Marks, note: str) -> None:
    out = shown(samples.sites(*ROWS, **how))
    assert "NOTE" in out
    assert out.splitlines()[3].endswith(note)


def test_calls_that_nothing_tells_are_not_shown_as_zero() -> None:
    row = shown(samples.sites(*ROWS, unloaded=True, evidence=Provenance.KERNEL_LOG)).splitlines()[3]
    assert row.split()[4:6] == ["-", "-"]


@pytest.mark.parametrize("by", ["function", "file", "directory", "module"])
def test_groups(by: str) -> None:
    lines = shown_by(by, samples.sites(*ROWS)).splitlines()
    assert lines[2].split() == ["SIZE", by.upper(), "CALLS", "SITES", "AVERAGE", "SHARE"]
    assert lines[3].split()[:2] == ["3.00", "MiB"]
    assert lines[3].split()[-2:] == ["MiB", "75.0%"]
    assert lines[-1].startswith("2 groups shown")


def test_nothing_to_show() -> None:
    nothing = samples.sites(*ROWS).take(np.zeros(0, np.intp))
    lines = shown(nothing).splitlines()
    assert lines[2].startswith("SIZE")
    assert lines[-1].startswith("0 sites shown: 0 B")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.98 KiB"),
        (1023, "1.00 KiB"),
        (1024, "1.00 KiB"),
        (10239, "10.0 KiB"),
        (102400, "100 KiB"),
        (1023 * 1024, "1.00 MiB"),
        (-4096, "-4.00 KiB"),
        (2**63 - 1, "8.00 EiB"),
        (2**70, "1024 EiB"),
    ],
)
def test_sizes(value: int, text: str) -> None:
    assert units.size(value) == text
