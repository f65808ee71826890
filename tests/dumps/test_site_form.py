# SPDX-License-Identifier: LGPL-2.1-or-later
"""A call site has one form in all JSON and CSV: file, line, function, module; other origins are
named behind them, where they may be."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from click.testing import CliRunner

from allocdump.cli import cli

from ..dumpdata import core

OOM = str(core("6.12-oom"))
FORM = ["file", "line", "function", "module"]
LINES = [
    ["pages"], ["pages", "--list"], ["objects"], ["objects", "--list"],
    ["objects", "--group-by", "vmalloc"], ["leaks"], ["leaks", "--list"],
    ["retained"], ["retained", "--filter", "leaker.c:*"],
]  # fmt: skip
DOCUMENTS = [["report"], ["audit", "--all"], ["triage"]]


def output(args: list[str], format_: str) -> str:
    done = CliRunner().invoke(cli, [args[0], OOM, *args[1:], "--format", format_])
    assert done.exit_code == 0, done.output
    return done.stdout


def check(record: dict[str, Any]) -> None:
    keys = list(record)
    at = keys.index("file")
    assert keys[at : at + 4] == FORM
    assert not {"site", "tree"} & set(keys)
    assert record["module"] != ""
    # Pages of slabs have no share: the objects in them are counted.
    elsewhere = record.get("share", 0.0) is None and record.get("role")
    assert elsewhere or isinstance(record.get("share", 0.0), float)
    assert isinstance(record["line"], int | None)


@pytest.mark.parametrize("args", LINES, ids=" ".join)
def test_lines(args: list[str]) -> None:
    records = list(map(json.loads, output(args, "json").splitlines()))
    assert records
    for record in records:
        check(record)
    assert {record["module"] for record in records} >= {None} or "--filter" in args
    rows = list(csv.DictReader(io.StringIO(output(args, "csv"))))
    assert [list(row) for row in rows] == [list(record) for record in records]
    for row, record in zip(rows, records, strict=True):
        text = {key: "" if value is None else str(value) for key, value in record.items()}
        assert {key: value.removeprefix("'") for key, value in row.items()} == text


@pytest.mark.parametrize("args", DOCUMENTS, ids=" ".join)
def test_documents(args: list[str]) -> None:
    found = json.loads(output(args, "json"))
    records = found["rows"] if "rows" in found else found["holders"]["sites"]
    assert len(records) > 300
    for record in records:
        check(record)


def test_the_form_is_nested_where_a_record_is_not_about_a_site() -> None:
    (line,) = CliRunner().invoke(cli, ["whois", OOM, "pfn:2000", "-f", "json"]).stdout.splitlines()
    assert list(json.loads(line)["layers"][0]["site"]) == [*FORM, "origin", "name", "unloaded"]
    done = CliRunner().invoke(cli, ["paths", OOM, "pfn:2000", "-f", "json"])
    steps = [step for path in json.loads(done.stdout)["paths"] for step in path["steps"]]
    assert all(
        step["site"] is None or list(step["site"]) == [*FORM, "origin", "name"] for step in steps
    )
