# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from allocdump.analysis.counted import by_counters
from allocdump.analysis.keys import KEYS
from allocdump.analysis.report import order, rows_of
from allocdump.analysis.sums import total
from allocdump.formats import allocinfo, folded
from allocdump.formats.records import report as records
from allocdump.formats.records.json_text import listed
from allocdump.kernel.tags.sites import Provenance, Sites

from .. import samples
from ..dumpdata import TESTDATA

SITES = samples.sites(
    ("mm/slub.c", 9, "new_slab", "", 8192, 2),
    ("leaker.c", 10, "get;rec", "leaker", 2**40, 2**33),
    ("x.c", 1, "f", "m", -50, 2**64 - 1),
)


def test_allocinfo_lines() -> None:
    marked = samples.sites(("a.c", 1, "f", "", 5, 1), inaccurate=True)
    assert list(allocinfo.render("header\n", SITES)) == [
        "header\n",
        "        8192        2 mm/slub.c:9 func:new_slab \n",
        "1099511627776 8589934592 leaker.c:10 [leaker] func:get;rec \n",
        "         -50 18446744073709551615 x.c:1 [m] func:f \n",
    ]
    assert list(allocinfo.render("", marked))[1] == (
        "           5        1 a.c:1 func:f accurate:no \n"
    )


def test_folded() -> None:
    assert list(folded.render(SITES)) == [
        "[kernel];mm;slub.c;new_slab:9 8192\n",
        "leaker;leaker.c;get:rec:10 1099511627776\n",
    ]


def as_json(sites: Sites) -> dict[str, Any]:
    report = samples.report(sites, warnings=["careful"])
    rows, every = order(rows_of(sites)), total(sites)
    made: dict[str, Any] = json.loads(records.as_json(report, rows, every, every))
    return made


def groups_as_json(key: str) -> dict[str, Any]:
    report, every = samples.report(SITES), total(SITES)
    found = by_counters([KEYS[key]], SITES)
    made: dict[str, Any] = json.loads(records.groups_as_json(report, found, every, every, None))
    return made


def test_json() -> None:
    document = as_json(SITES)
    assert (document["schema"], document["version"]) == ("allocdump.report", 2)
    assert document["kernel"]["crash_time"] == "2026-01-02T03:04:05+00:00"
    assert document["completeness"]["complete"] is True
    assert document["warnings"] == ["careful"]
    assert document["total"]["sites"] == 3
    first = document["rows"][0]
    assert first["bytes"] == 2**40
    assert first["module"] == "leaker"
    assert first["evidence"] == "counter"
    assert document["rows"][1]["module"] is None


@pytest.mark.parametrize(
    ("evidence", "size", "calls"),
    [(Provenance.KERNEL_LOG, 5, None), (Provenance.NONE, None, None), (Provenance.COUNTER, 5, 1)],
)
def test_json_has_null_for_what_nothing_tells(
    evidence: Provenance, size: int | None, calls: int | None
) -> None:
    row = as_json(samples.sites(("a", 1, "f", "m", 5, 1), unloaded=True, evidence=evidence))["rows"]
    assert (row[0]["bytes"], row[0]["calls"]) == (size, calls)


def test_every_json_field_is_documented() -> None:
    docs = TESTDATA.parent / "docs"
    text = (docs / "report-json.md").read_text()
    documented = set(re.findall(r"^\| `([a-z_.]+)` \|", text, re.MULTILINE))
    cells = re.findall(r"^\| (`[^|]*) \|", (docs / "grouping.md").read_text(), re.MULTILINE)
    keys = {key for cell in cells for key in re.findall(r"`([a-z]+)`", cell)}
    documented |= {f"rows.{key}" for key in keys}

    def paths(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
        for key, inner in value.items():
            if isinstance(inner, list) and inner and isinstance(inner[0], dict):
                inner = inner[0]
            if isinstance(inner, dict):
                yield from paths(inner, f"{prefix}{key}.")
            else:
                yield prefix + key

    assert set(paths(as_json(SITES))) <= documented
    for key in KEYS:
        assert f"rows.{key}" in documented or key == "site"
        assert set(paths(groups_as_json(key))) <= documented


def test_csv() -> None:
    rows = order(rows_of(SITES))
    read = list(csv.DictReader(io.StringIO(records.as_csv(rows, total(SITES)))))
    assert [int(r["bytes"]) for r in read] == rows.bytes.tolist()
    assert [int(r["calls"]) for r in read] == rows.calls.tolist()


def test_csv_of_groups() -> None:
    found = by_counters([KEYS["file"]], SITES)
    read = list(csv.DictReader(io.StringIO(records.groups_as_csv(found, total(SITES), None))))
    assert [r["file"] for r in read] == ["leaker.c", "mm/slub.c", "x.c"]
    for field in ("bytes", "calls"):
        assert [int(r[field]) for r in read] == [one.sums[field] for one in found]
    assert [int(r["bytes"]) for r in read] == [2**40, 8192, -50]


def test_csv_cells_are_no_formulas() -> None:
    """Names come from an untrusted dump; a spreadsheet would run them."""
    names = ("=cmd()", "+1", "-1", "@SUM(A1)", "\tx", "a=b")
    hostile = samples.sites(*((f"{n}.c", 1, n, n, -5, 1) for n in names))
    rows = order(rows_of(hostile), "kernel")
    read = list(csv.DictReader(io.StringIO(records.as_csv(rows, total(hostile)), newline="")))
    assert [r["function"] for r in read] == [*("'" + n for n in names[:-1]), "a=b"]
    assert read[0]["file"] == "'=cmd().c"
    assert {r["bytes"] for r in read} == {"-5"}
    each = [{"site": text, "bytes": -5} for text in ("=1+1", "\rx")]
    text = "".join(listed(each, ("site", "bytes"), "csv"))
    assert text == "site,bytes\n'=1+1,-5\n'\rx,-5\n"
