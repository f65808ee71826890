# SPDX-License-Identifier: LGPL-2.1-or-later
"""A report read back from its JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from allocdump.analysis.report import rows_of
from allocdump.analysis.sums import total
from allocdump.formats.records import report as records
from allocdump.formats.saved import NotAReportError, SavedReport, parse_report
from allocdump.kernel.tags.sites import Provenance, Sites

from .. import samples

SITES = samples.sites(
    ("mm/slub.c", 9, "new_slab", "", 8192, 2),
    ("leaker.c", 10, "get_rec", "leaker", -50, 2**64 - 1),
)


def document(sites: Sites = SITES) -> dict[str, Any]:
    report = samples.report(sites, warnings=["careful"])
    rows = rows_of(sites)
    made: dict[str, Any] = json.loads(records.as_json(report, rows, total(sites), total(sites)))
    return made


def read(document: dict[str, Any]) -> SavedReport:
    saved = parse_report(json.dumps(document).encode())
    assert saved is not None
    return saved


@pytest.mark.parametrize(
    "how",
    [{}, {"inaccurate": True}, {"unloaded": True, "inferred": True}, {"unloaded": True,
     "evidence": Provenance.KERNEL_LOG}],
)  # fmt: skip
def test_what_is_written_is_read_back(how: samples.Marks) -> None:
    sites = samples.sites(("a.c", 1, "f", "m", 5, 0), ("b.c", 2, "g", "", 6, 0), **how)
    saved = read(document(sites))
    for name, column in vars(sites).items():
        if name != "address":
            assert np.array_equal(getattr(saved.sites, name), column), name
    assert saved.system == samples.report(sites).origin.system
    assert saved.reason == "Kernel panic"
    assert saved.warnings == ["careful"]
    assert (saved.total, saved.held, saved.unreadable) == (2, 11, 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "allocdump.usage"}, "allocdump.usage"),
        ({"schema": None}, "something else"),
        ({"version": 3}, "version 3"),
        ({"group_by": "module"}, "by module"),
        ({"rows": None}, "damaged"),
        ({"rows": [{}, 1, None]}, "damaged"),
    ],
)
def test_what_is_no_report_by_site(change: dict[str, Any], words: str) -> None:
    with pytest.raises(NotAReportError, match=words):
        read(document() | change)


@pytest.mark.parametrize("text", [b"{", b"[1, 2]", b"\xff", b"[" * 100_000, b'{"schema": 1e999}'])
def test_what_is_no_json_of_ours(text: bytes) -> None:
    with pytest.raises(NotAReportError):
        parse_report(text)


@pytest.mark.parametrize(
    "change",
    [
        {"file": None}, {"function": 5}, {"line": -1}, {"line": 1.5}, {"bytes": "5"},
        {"bytes": 2**63}, {"calls": -1}, {"calls": True}, {"calls": 10**400},
        {"evidence": "guess"}, {"evidence": []},
    ],
)  # fmt: skip
def test_damaged_rows_are_counted(change: dict[str, Any]) -> None:
    whole = document()
    whole["rows"][0] |= change
    saved = read(whole)
    assert (len(saved.sites), saved.unreadable) == (1, 1)


def test_strings_are_made_safe() -> None:
    whole = document()
    whole["rows"][0]["file"] = "\x1b[2J\ud800.c"
    whole["kernel"]["crash_time"] = "yesterday"
    whole["total"] = whole["warnings"] = 5
    saved = read(whole)
    assert saved.sites.file[0] == r"\x1b[2J\ud800.c"
    assert saved.system is not None
    assert (saved.system.crash_time, saved.total, saved.warnings) == (None, None, [])


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-02T04:04:05+01:00", "2026-01-02T03:04:05+00:00"),
        ("2026-01-02T03:04:05", None),
        ("0001-01-01T00:00:00+23:00", None),
    ],
)
def test_times_are_utc(text: str, time: str | None) -> None:
    whole = document()
    whole["kernel"]["crash_time"] = text
    saved = read(whole)
    assert saved is not None
    found = saved.system.crash_time
    assert (found and found.isoformat()) == time
