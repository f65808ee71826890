# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import csv
import io
import json
import re
from typing import Unpack

import pytest

from allocdump.analysis.diff import Changes, Snapshot, Summary, compare, group, order, summary
from allocdump.analysis.site_groups import GroupBy
from allocdump.formats.records import diff as records
from allocdump.kernel.tags.sites import Provenance
from allocdump.view import diff
from allocdump.view.renderer import How
from allocdump.view.text import render

from .. import samples
from ..dumpdata import TESTDATA
from ..samples import Wishes

REPORT = samples.report(samples.sites(("a.c", 1, "f", "", 1, 1)))
ZERO = ("z.c", 1, "z", "", 0, 0)
BEFORE = Snapshot(
    "old.json",
    "report",
    samples.sites(("mm/x.c", 10, "grow", "", 4096, 1), ("mm/x.c", 30, "shrink", "", 8192, 2)),
    REPORT.origin.system,
    "Kernel panic",
)
AFTER = Snapshot(
    "new.txt",
    "allocinfo",
    samples.sites(("mm/x.c", 12, "grow", "", 2 << 20, 3), ("d.c", 4, "come", "drv", 1024, 1), ZERO),
    warnings=["careful"],
)


def rows(
    by: GroupBy = "site", before: Snapshot = BEFORE, after: Snapshot = AFTER
) -> tuple[Changes, Summary]:
    changes = group(compare(before, after), by)
    changed = changes.take(changes.changed)
    return order(changed), summary(changed)


def lines_of(
    before: Snapshot, after: Snapshot, changed: Changes, chosen: Summary, **how: Unpack[Wishes]
) -> list[str]:
    return render(diff.document(before, after, changed, chosen), How(**how)).splitlines()


def table(by: GroupBy = "site", top: int | None = None, **how: Unpack[Wishes]) -> list[str]:
    changed, chosen = rows(by)
    return lines_of(BEFORE, AFTER, order(changed, top=top), chosen, **how)


def test_table() -> None:
    lines = table()
    assert lines[0] == (
        "before  old.json: Linux 6.12.0 | db1 | crashed 2026-01-02 03:04:05 UTC | Kernel panic"
        " | 2 sites"
    )
    assert lines[1] == "after   new.txt: /proc/allocinfo | 3 sites"
    assert lines[3].split() == [
        "GROWTH", "SITE", "FUNCTION", "CALLS", "BEFORE", "AFTER", "MODULE", "NOTE",
    ]  # fmt: skip
    assert re.split(r"  +", lines[4].strip()) == [
        "+2.00 MiB", "mm/x.c:12", "grow", "+2", "4.00 KiB", "2.00 MiB", "(built-in)",
        "matched loosely: line 10 before",
    ]  # fmt: skip
    assert lines[5].split()[0] == "+1.00"
    assert lines[5].endswith("new")
    assert lines[6].split()[0] == "-8.00"
    assert lines[6].endswith("gone")
    assert lines[-1] == (
        "3 sites changed: +2.00 MiB, -8.00 KiB; 1 new, 1 gone; 1 matched loosely;"
        " all sites: 12.0 KiB before, 2.00 MiB after"
    )


def test_top_and_exact() -> None:
    lines = table(top=1, exact=True)
    assert lines[-1].startswith("1 site shown; 3 sites changed: +2,094,080, -8,192;")
    assert "+2,093,056" in lines[4]


def test_sites_that_were_added_up_say_so() -> None:
    two = [("mm/x.c", line, "grow", "", 1, 1) for line in (12, 13)]
    changed, _ = rows(after=Snapshot("b", "allocinfo", samples.sites(*two, ZERO)))
    assert "sites of the function together, 1 before and 2 after" in "".join(diff.notes(changed))
    changed, _ = rows(after=Snapshot("b", "report", samples.sites(*two), REPORT.origin.system))
    assert "matched loosely" not in "".join(diff.notes(changed))  # of the same build


def test_no_differences() -> None:
    changed, chosen = rows(before=AFTER)
    lines = lines_of(AFTER, AFTER, changed, chosen)
    assert lines[3:] == ["no differences; all sites: 2.00 MiB before, 2.00 MiB after"]


def test_unknown_calls_are_not_shown_as_zero() -> None:
    gone = samples.sites(
        ("d.c", 4, "come", "drv", 2048, 0), unloaded=True, evidence=Provenance.KERNEL_LOG
    )
    changed, chosen = rows(before=AFTER, after=Snapshot("b", "dump", gone))
    lines = lines_of(AFTER, AFTER, changed, chosen)
    assert lines[4].split()[:5] == ["+1.00", "KiB", "d.c:4", "come", "-"]
    assert "module unloaded" in lines[4]
    assert next(records.records(changed))["calls_after"] is None


@pytest.mark.parametrize("by", ["site", "module"])
def test_json_and_csv(by: GroupBy) -> None:
    changed, chosen = rows(by)
    document = json.loads(records.as_json(BEFORE, AFTER, changed, chosen))
    assert (document["schema"], document["version"]) == ("allocdump.diff", 2)
    assert document["before"]["release"] == "6.12.0"
    assert document["after"] | {"bytes": 0} == {
        "path": "new.txt", "kind": "allocinfo", "release": None, "version": None,
        "crash_time": None, "crash_reason": None, "warnings": ["careful"], "sites": 3, "bytes": 0,
        "left_out": [],
    }  # fmt: skip
    assert [row["growth"] for row in document["rows"]] == changed.growth.tolist()
    read = list(csv.DictReader(io.StringIO(records.as_csv(changed))))
    assert [int(row["growth"]) for row in read] == changed.growth.tolist()
    assert set(read[0]) == set(document["rows"][0])
    text = (TESTDATA.parent / "docs" / "json.md").read_text()
    section = text[text.index("## `diff`") :]
    assert all(f"`{name}`" in section for name in {*document, *document["rows"][0]})
