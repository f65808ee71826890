# SPDX-License-Identifier: LGPL-2.1-or-later
"""Filters of all commands: one that matches nothing is no good news."""

from __future__ import annotations

import pytest

from allocdump.session import Session

from ..dumpdata import core, run

OOM = core("6.12-oom")
BEFORE, AFTER = (core(folder) for folder in ("7.3-before", "7.3-after"))
FILTERED = [
    ["report"], ["report", "--format", "allocinfo"], ["report", "--group-by", "module"],
    ["report", "--format", "json"], ["pages"], ["pages", "--list"], ["objects"],
    ["objects", "--list"], ["objects", "--group-by", "vmalloc"], ["leaks"], ["leaks", "--list"],
    ["retained"], ["audit"], ["audit", "--format", "json"],
]  # fmt: skip


@pytest.fixture
def only_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no command read memory: names are told before."""

    def read(*_: object) -> None:
        raise AssertionError("memory was read first")

    for stage in ("leaks", "audit", "dominators", "pages", "attribution", "survey"):
        monkeypatch.setattr(Session, stage, read)


@pytest.mark.usefixtures("only_counters")
@pytest.mark.parametrize("args", FILTERED, ids=" ".join)
def test_no_site_matches(args: list[str]) -> None:
    done = run(args[0], OOM, *args[1:], "--filter", "leker.c:44")
    assert (done.returncode, done.stdout) == (2, "")
    *_, last = done.stderr.splitlines()
    assert last.startswith("allocdump: No site matches 'leker.c:44'; did you mean 'leaker.c:44'")


@pytest.mark.usefixtures("only_counters")
@pytest.mark.parametrize("args", FILTERED, ids=" ".join)
def test_an_unknown_key(args: list[str]) -> None:
    done = run(args[0], OOM, *args[1:], "--filter", "fil=mm/*")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(
        "allocdump: Filters have the keys file, function and module, but not 'fil';"
        " did you mean 'file=mm/*'?\n"
    )


def test_diff_of_sites_that_neither_snapshot_has() -> None:
    """A gate that watches nothing must not stand open."""
    for args in ([], ["--fail-over", "1G"], ["--all"]):
        done = run("diff", BEFORE, AFTER, "--filter", "module=leakr", *args)
        assert (done.returncode, done.stdout) == (2, "")
        assert "No site matches 'module=leakr'; did you mean 'module=leaker'" in done.stderr


def test_diff_of_sites_that_one_snapshot_has() -> None:
    dumps = (core("7.2-quiet").parent / "allocinfo.before", core("7.2-quiet"))
    for order in (dumps, reversed(dumps)):
        done = run("diff", *order, "--filter", "module=leaked")
        assert done.returncode == 0
        assert "leaked.c:25" in done.stdout
