# SPDX-License-Identifier: LGPL-2.1-or-later
"""A round of watching, for a terminal and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from allocdump.analysis.growth import Growth, Watch, largest
from allocdump.analysis.report import Origin
from allocdump.formats.records.watch import as_json
from allocdump.view.text import screen
from allocdump.view.watch import document

from ..dumpdata import TESTDATA
from ..samples import report, sites

START = sites(
    ("mm/slub.c", 10, "new_slab", "", 1 << 20, 4),
    ("drivers/net/ethernet/very/long/path/to/leaky.c", 77, "leaky_get", "leaky", 0, 0),
)


def as_lines(
    origin: Origin, growth: Growth, rows: npt.NDArray[Any], width: int, exact: bool = False
) -> list[str]:
    return screen(document(origin, growth, rows), width, exact)


@pytest.fixture
def growth() -> Growth:
    now = replace(START, bytes=START.bytes + np.array([4096, 3 << 20]))
    now.calls = START.calls.copy()
    now.calls[1] = 1234
    return Watch(START).round(now, 65.25)


def test_lines(growth: Growth) -> None:
    lines = as_lines(report(START).origin, growth, largest(growth, 5), 200)
    assert "Linux 6.12.0" in lines[0]
    assert "1:05 since the start" in lines[0]
    assert lines[1].startswith("+3.00 MiB in +1,234 allocations; 4.00 MiB now")
    assert lines[3].split() == ["GROWTH", "SITE", "FUNCTION", "LAST", "CALLS", "SIZE", "MODULE"]
    first = lines[4].split()
    assert first[:2] == ["+3.00", "MiB"]
    assert "+1,234" in first
    assert lines[4].endswith("leaky")
    assert len(lines) == 6


@pytest.mark.parametrize("width", [20, 60, 80, 100])
def test_no_line_is_longer_than_the_terminal(growth: Growth, width: int) -> None:
    lines = as_lines(report(START).origin, growth, largest(growth, 5), width)
    assert max(map(len, lines)) <= width


def test_exact(growth: Growth) -> None:
    lines = as_lines(report(START).origin, growth, largest(growth, 5), 200, exact=True)
    assert "+3,145,728" in lines[4]


def test_nothing_grew() -> None:
    still = Watch(START).round(START, 1.0)
    lines = as_lines(report(START).origin, still, largest(still, 5), 80)
    assert lines[-1] == "No site has grown."


def test_json(growth: Growth) -> None:
    text = as_json(growth, largest(growth, 1), datetime(2026, 1, 2, tzinfo=UTC))
    assert text.count("\n") == 1
    document = json.loads(text)
    assert document["schema"] == "allocdump.watch"
    assert document["time"] == "2026-01-02T00:00:00+00:00"
    assert document["total"]["growth_bytes"] == 4096 + (3 << 20)
    (row,) = document["rows"]
    assert (row["line"], row["module"], row["growth_calls"]) == (77, "leaky", 1234)
    assert row["growth_bytes"] == row["last_growth_bytes"] == 3 << 20


def test_every_field_is_documented(growth: Growth) -> None:
    text = (TESTDATA.parent / "docs" / "json.md").read_text()
    section = text.split("## `watch`")[1].split("\n## ")[0]
    document = json.loads(as_json(growth, largest(growth, 1), datetime.now(UTC)))
    names = {*document, *document["total"], *document["rows"][0]}
    assert not {name for name in names if f"`{name}`" not in section}
