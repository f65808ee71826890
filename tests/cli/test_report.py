# SPDX-License-Identifier: LGPL-2.1-or-later
"""Options of ``allocdump report`` on a real dump."""

from __future__ import annotations

import csv
import io
import json

import click
import pytest
from click.testing import CliRunner

from allocdump.cli import cli
from allocdump.cli.parameters import Size

from ..dumpdata import core, run, truth

QUIET = str(core("7.2-quiet"))


def report(*args: str, code: int = 0) -> str:
    done = run("report", QUIET, *args)
    assert done.returncode == code, done.stderr
    return done.stdout


def rows(*args: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(report("--format", "csv", *args))))


def test_top_and_sort() -> None:
    sizes = [int(r["bytes"]) for r in rows() if not r["role"].endswith("pages")]
    assert sizes == sorted(sizes, reverse=True)
    assert [int(r["bytes"]) for r in rows("--top", "5")] == sizes[:5]
    calls = [int(r["calls"]) for r in rows("--sort", "calls")]
    assert calls == sorted(calls, reverse=True)


def test_zero_sites_only_with_all() -> None:
    kernels = truth(core("7.2-quiet")).splitlines()[2:]
    everything = rows("--all", "--no-unloaded")
    assert len(everything) == len(kernels)
    held = rows("--no-unloaded")
    assert len(held) == sum(line.split()[:2] != ["0", "0"] for line in kernels)


def test_filter_and_min_size() -> None:
    assert {r["module"] for r in rows("--filter", "module=labmod")} == {"labmod"}
    chosen = rows("--filter", "file=mm/*", "--min-size", "64K")
    assert chosen
    assert all(r["file"].startswith("mm/") and int(r["bytes"]) >= 65536 for r in chosen)
    assert rows("--filter", "module=labmod", "--min-size", "1G") == []


def test_unloaded_modules() -> None:
    assert {r["unloaded"] for r in rows("--filter", "module=leaked")} == {"True"}
    assert rows("--filter", "module=leaked", "--no-unloaded") == []
    assert "[leaked]" not in report("--format", "allocinfo")
    assert "[leaked]" in report("--format", "allocinfo", "--unloaded")


def test_group_by() -> None:
    modules = {r["name"]: int(r["bytes"]) for r in rows("--group-by", "module")}
    assert {"(built-in)", "labmod", "leaked"} <= set(modules)
    sites = rows("--filter", "module=labmod")
    assert modules["labmod"] == sum(int(r["bytes"]) for r in sites)


def test_groups_have_no_such_format() -> None:
    report("--group-by", "module", "--format", "allocinfo", code=2)


def test_groups_as_stacks() -> None:
    lines = report("--group-by", "module,function", "--format", "folded").splitlines()
    sizes = dict(line.rsplit(" ", 1) for line in lines)
    for row in rows("--group-by", "module,function"):
        assert sizes[f"{row['module']};{row['function']}"] == row["bytes"]
    assert len(sizes) > 100


def test_groups_by_memory_add_up_beside_the_counters() -> None:
    """By references: in a whole dump of a machine that stood still, what the counters say."""
    found = json.loads(report("--group-by", "cgroup,module", "--format", "json"))
    memory, counted = found["memory"], found["total"]
    assert sum(row["bytes"] for row in found["rows"]) == memory["bytes"]
    assert sum(row["calls"] for row in found["rows"]) == memory["calls"]
    assert abs(memory["bytes"] - counted["bytes"]) < 0.01 * counted["bytes"]
    assert sum(row["share"] for row in found["rows"]) == pytest.approx(1)
    by_module = {r["name"]: int(r["bytes"]) for r in rows("--group-by", "module")}
    for module in ("labmod", "leaked"):
        mine = [row["bytes"] for row in found["rows"] if row["module"] == module]
        assert sum(mine) == pytest.approx(by_module[module], rel=0.02)
    shown = report("--group-by", "cgroup,node")
    assert "by references" in shown
    assert "by counters" in shown
    only = json.loads(report("-g", "node", "-F", "module=labmod", "--format", "json"))
    assert only["memory"] == memory
    assert sum(row["bytes"] for row in only["rows"]) < memory["bytes"]
    assert json.loads(report("-g", "module", "--format", "json"))["memory"] is None


def test_allocinfo_can_be_filtered_and_sorted() -> None:
    lines = report("--format", "allocinfo", "--filter", "mm/*", "--sort", "size", "-n", "3")
    sizes = [int(line.split()[0]) for line in lines.splitlines()[2:]]
    assert len(sizes) == 3
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("format_", ["allocinfo", "folded", "table", "json", "csv"])
def test_no_row_is_left(format_: str) -> None:
    text = report("--filter", "module=leaked", "--no-unloaded", "--format", format_)
    lines = text.splitlines()
    match format_:
        case "allocinfo":
            assert lines == truth(core("7.2-quiet")).splitlines()[:2]
        case "folded":
            assert text == ""
        case "csv":
            (heads,) = lines
            assert heads.startswith("file,line,function,module,bytes,")
        case "json":
            document = json.loads(text)
            assert document["rows"] == []
            assert document["chosen"] == {"bytes": 0, "calls": 0, "sites": 0, "left_out": []}
        case "table":
            _, _, heads, below, summary, _ = lines
            assert heads.split()[:3] == ["SIZE", "SITE", "FUNCTION"]
            assert below == ""
            assert summary.startswith("0 sites shown: 0 B; all 1,368 sites: ")


def test_json_totals() -> None:
    document = json.loads(report("--format", "json", "--all"))
    total = document["total"]
    left_out = sum(one["bytes"] for one in total["left_out"])
    assert left_out > 0
    assert total["bytes"] + left_out == sum(r["bytes"] for r in document["rows"])
    assert document["kernel"]["release"].startswith("7.2.")
    assert document["kernel"]["crash_reason"].startswith("Kernel panic")


def test_no_colour_into_a_pipe() -> None:
    assert "\x1b" not in report()


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), ("64K", 65536), ("64k", 65536), ("1.5MiB", 3 << 19),
     ("2GB", 2 << 30), (" 3 T ", 3 << 40)],
)  # fmt: skip
def test_size(text: str, size: int) -> None:
    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "K", "-1", "1X", "1,000", "0x10"])
def test_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Size().convert(text, None, None)


def test_help_names_every_command_and_exit_code() -> None:
    text = CliRunner().invoke(cli, ["--help"]).output
    for word in ("report", "tags", "130", "141", "70"):
        assert word in text
    assert "Examples:" in CliRunner().invoke(cli, ["report", "-h"]).output
