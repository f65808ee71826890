# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump diff`` on real dumps, texts of /proc/allocinfo and saved reports."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from allocdump.analysis.diff import compare
from allocdump.session.snapshot import open_snapshot

from ..dumpdata import CORES_WITH_TRUTH, core, name, process, run

QUIET = core("7.2-quiet")


def rows(*args: object, code: int = 0) -> list[dict[str, str]]:
    done = run("diff", *args, "--format", "csv")
    assert done.returncode == code, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def saved(path: Path, *args: str, core: Path = QUIET) -> Path:
    done = run("report", core, "--format", "json", "--output", path, *args)
    assert done.returncode == 0
    return path


@pytest.mark.parametrize("core", CORES_WITH_TRUTH, ids=name)
def test_a_dump_differs_from_itself_in_nothing(core: Path, tmp_path: Path) -> None:
    done = run("diff", core, core, "--fail-over", "0")
    assert done.returncode == 0
    assert done.stdout.splitlines()[3].startswith("no differences; all sites:")
    kept = [
        core,
        saved(tmp_path / "all.json", "--all", core=core),
        saved(tmp_path / "some.json", core=core),
    ]
    for before, after in itertools.product(map(open_snapshot, kept), repeat=2):
        changes = compare(before, after)
        assert not changes.changed.any()
        assert changes.match is not None
        assert set(changes.match) == {"exact"}


@pytest.mark.parametrize("core", CORES_WITH_TRUTH, ids=name)
def test_a_dump_and_what_its_kernel_printed(core: Path) -> None:
    """Only what unloaded modules left is not in /proc/allocinfo."""
    found = rows(core.parent / "truth.allocinfo", core)
    gone = set() if core.parent.name == "7.3-cgroups" else {("leaked", "new")}
    assert {(row["module"], row["state"]) for row in found} == gone


def test_growth_is_what_two_texts_of_the_kernel_say() -> None:
    before, after = (QUIET.parent / f for f in ("allocinfo.before", "truth.allocinfo"))

    def held(path: Path) -> dict[tuple[str, ...], tuple[int, int]]:
        out: dict[tuple[str, ...], tuple[int, int]] = {}
        for line in path.read_text().splitlines()[2:]:
            size, calls, *site = line.replace("accurate:no", "").split()
            was = out.get(tuple(site), (0, 0))
            out[tuple(site)] = (was[0] + int(size), was[1] + int(calls))
        return out

    old, new = held(before), held(after)
    grown = {
        site: (new[site][0] - old[site][0], new[site][1] - old[site][1])
        for site in old.keys() | new.keys()
        if new[site] != old[site]
    }
    found = {}
    for row in rows(before, after):
        module = [f"[{row['module']}]"] if row["module"] else []
        site = (f"{row['file']}:{row['line']}", *module, f"func:{row['function']}")
        found[site] = (int(row["growth"]), int(row["calls_growth"]))
    assert found == grown


def test_a_known_leak_is_on_top() -> None:
    """The module leaked 1,024 pages more before the second dump; nothing else comes near."""
    dumps = core("7.3-before"), core("7.3-after")
    first, *others = rows(*dumps)
    assert (first["file"], first["function"]) == ("leaker.c", "leaker_get_page")
    assert (first["growth"], first["calls_growth"]) == (str(1024 * 4096), "1024")
    assert all(abs(int(row["growth"])) < 64 << 10 for row in others)
    said = rows(*(dump.parent / "truth.allocinfo" for dump in dumps))
    assert [(r["file"], r["line"], r["growth"]) for r in said] == [
        (r["file"], r["line"], r["growth"]) for r in [first, *others]
    ]
    assert run("diff", *dumps, "--fail-over", "1M").returncode == 1
    assert run("diff", *reversed(dumps), "--fail-over", "1M").returncode == 0


def test_a_kernel_in_which_only_lines_moved(tmp_path: Path) -> None:
    """Every site is found again, and every one is marked as loosely matched."""
    before = QUIET.parent / "truth.allocinfo"
    after = tmp_path / "after"
    after.write_text(re.sub(r":(\d+) ", lambda m: f":{int(m[1]) + 7} ", before.read_text()))
    assert rows(before, after) == []
    found = rows(before, after, "--all")
    assert {row["match"] for row in found} == {"moved"}
    assert all(int(row["line"]) == int(row["old_line"]) + 7 for row in found)


def test_another_kernel() -> None:
    """6.12 and 7.2 share most functions; nothing is counted twice or lost."""
    before, after = core("6.12-oom"), QUIET
    found = rows(before, after, "--all")
    for column, path in (("before", before), ("after", after)):
        report = json.loads(run("report", path, "--format", "json").stdout)
        total = report["total"]
        every = total["bytes"] + sum(one["bytes"] for one in total["left_out"])
        assert sum(int(row[column]) for row in found) == every
    assert {"moved", "exact", "together"} == {row["match"] for row in found}


def test_fail_over() -> None:
    args = [QUIET.parent / "allocinfo.before", QUIET]
    done = run("diff", *args, "--fail-over", "1M")
    assert done.returncode == 1
    assert done.stderr.endswith(
        "1 site grew by more than 1.00 MiB, most of all leaked.c:25 (+2.00 MiB).\n"
    )
    assert "leaked_pages" in done.stdout
    assert run("diff", *args, "--fail-over", "2M").returncode == 0
    assert run("diff", *args, "--fail-over", "0", "--filter", "mm/util.c").returncode == 0
    assert run("diff", *args, "--fail-over", "2M", "--group-by", "module").returncode == 1
    # What is not shown counts, too.
    assert run("diff", *args, "--fail-over", "100K", "--top", "1").returncode == 1


def test_choosing() -> None:
    args = [QUIET.parent / "allocinfo.before", QUIET]
    assert {row["module"] for row in rows(*args, "--filter", "module=leaked")} == {"leaked"}
    assert len(rows(*args, "--min-size", "64K")) == 3
    assert len(rows(*args, "--top", "2")) == 2
    assert rows(*args, "--sort", "name")[0]["file"].startswith("arch/")
    assert {"leaked", "(built-in)"} == {r["name"] for r in rows(*args, "--group-by", "module")}
    assert "2,097,152" in run("diff", *args, "--exact").stdout


def test_through_a_pipe() -> None:
    text = (QUIET.parent / "allocinfo.before").read_text()
    done = process("diff", "/dev/stdin", QUIET, "--min-size", "1M", input=text)
    assert "leaked_pages" in done.stdout


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress, zstandard.compress])
@pytest.mark.parametrize("kind", ["allocinfo", "report"])
def test_compressed(compress: Callable[[bytes], bytes], kind: str, tmp_path: Path) -> None:
    plain = QUIET.parent / "allocinfo.before"
    if kind == "report":
        plain = saved(tmp_path / "report.json", "--all", core=core("7.2-reach"))
    packed = tmp_path / "packed"
    packed.write_bytes(compress(plain.read_bytes()))
    assert rows(packed, QUIET) == rows(plain, QUIET) != []
    with packed.open() as file:
        through = process("diff", "-", QUIET, "--format", "csv", stdin=file).stdout
    assert list(csv.DictReader(io.StringIO(through))) == rows(plain, QUIET)


def test_what_report_saved_compressed(tmp_path: Path) -> None:
    for file in ("report.json.gz", "report.json.zst"):
        path = saved(tmp_path / file, "--all")
        assert path.stat().st_size < 100_000
        assert rows(path, QUIET) == []


def test_standard_input(tmp_path: Path) -> None:
    done = run("diff", "-", "-")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Only one of BEFORE and AFTER" in done.stderr
    with QUIET.open() as file:
        done = process("diff", "-", QUIET, stdin=file)
    assert (done.returncode, done.stdout) == (3, "")
    assert "A dump cannot be read from standard input; name its file." in done.stderr
    done = process("diff", QUIET, "-", input="nothing\n")
    assert done.stderr.startswith("allocdump: standard input is not a dump")


def fails(code: int, *args: Path, before: Path = QUIET) -> str:
    done = run("diff", before, *args)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("allocdump: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_files_that_are_none_of_the_three(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert "does not exist" in fails(3, path)
    assert "is a directory" in fails(3, tmp_path)
    path.touch()
    assert "is empty" in fails(3, path)
    for raw in (b"something else\n", b"\0" * 100_000, (QUIET.parent / "vmallocinfo").read_bytes()):
        path.write_bytes(raw)
        assert "not a dump, a saved /proc/allocinfo, or a report" in fails(3, path)
    packed = gzip.compress((QUIET.parent / "allocinfo.before").read_bytes())
    path.write_bytes(packed[:-20])
    assert "is cut: its compressed end is missing; save it again." in fails(3, path)
    path.write_bytes(gzip.compress(QUIET.read_bytes()[: 1 << 20]))
    assert "is compressed with gzip; unpack it first" in fails(3, path)
    path.write_bytes(gzip.compress(b"1 1 a.c:1 func:f\n" * (8 << 20)))
    assert "is larger than the sites of any kernel" in fails(3, path)
    path.write_bytes(b"makedumpfile".ljust(16, b"\0"))
    assert "truncated: only its header" in fails(3, path)
    assert "never enabled" in fails(5, core("tiny-never"))


def test_damaged_reports(tmp_path: Path) -> None:
    path = saved(tmp_path / "report.json")
    whole = path.read_text()
    path.write_text(whole[:-100])
    assert "not whole JSON" in fails(3, path)
    path.write_text(whole.replace('"version": 2', '"version": 99', 1))
    assert "version 99" in fails(3, path)
    path.write_text(run("usage", QUIET, "--format", "json").stdout)
    assert "holds allocdump.usage" in fails(3, path)
    assert "without --group-by" in fails(3, saved(path, "--group-by", "file"))


def test_a_site_of_unknown_size_neither_grew_nor_shrank(tmp_path: Path) -> None:
    path = saved(tmp_path / "report.json", "--all")
    document = json.loads(path.read_text())
    document["rows"][0] |= {"bytes": None, "calls": None, "evidence": "none"}
    path.write_text(json.dumps(document))
    done = run("diff", path, path)
    assert "no differences" in done.stdout
    assert "The size of 1 site is unknown and left out." in done.stderr
    assert f"{len(document['rows']) - 1:,} sites" in done.stdout.splitlines()[0]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    path = saved(tmp_path / "report.json", "--top", "5")
    done = run("diff", path, QUIET)
    assert done.returncode == 0
    assert "only 5 sites are in it" in done.stderr
    listing = tmp_path / "listing"
    text = (QUIET.parent / "truth.allocinfo").read_text()
    listing.write_text(text.replace("version: 2.0", "version: 3.0")[:-10])
    done = run("diff", listing, QUIET)
    assert done.returncode == 0
    assert "version 3.0" in done.stderr
    assert "1 line is cut" in done.stderr
