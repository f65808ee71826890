# SPDX-License-Identifier: LGPL-2.1-or-later
"""Undecided memory is one line, unless all of it is wanted."""

from __future__ import annotations

import csv
import io
import json
import re

from ..dumpdata import core, run

WITHOUT_PAGES = core("7.2-quiet", "vmcore.d31")


def test_undecided_sites_are_one_line_with_their_number() -> None:
    done = run("leaks", WITHOUT_PAGES)
    every = run("leaks", WITHOUT_PAGES, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(every.stdout)))
    assert rows
    assert all(int(row["undecided"]) > 0 for row in rows)
    assert f"\n{len(rows)} site" in done.stdout
    assert "--all lists the sites" in done.stdout
    assert not any(row["function"] and row["function"] in done.stdout for row in rows)


def test_all_of_them() -> None:
    lines = run("leaks", WITHOUT_PAGES, "--all").stdout.splitlines()
    records = run("leaks", WITHOUT_PAGES, "--format", "json").stdout.splitlines()
    for record in map(json.loads, records):
        assert any((record["function"] or record["name"]) in line for line in lines)
    assert not any("--all lists" in line for line in lines)


def test_no_warning_comes_again_with_another_number() -> None:
    warnings = [
        re.sub(r"[\d,]+", "N", line) for line in run("leaks", WITHOUT_PAGES).stderr.split("\n")
    ]
    assert any("N free lists" in line for line in warnings)
    assert len(set(warnings)) == len(warnings)


def test_whole_dumps_have_no_such_line() -> None:
    assert "undecided" not in run("leaks", core("7.3-after")).stdout
