# SPDX-License-Identifier: LGPL-2.1-or-later
"""One name for one thing on all commands, and names of old."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import click
import pytest

from allocdump.cli import load
from allocdump.commands import COMMANDS
from allocdump.formats.records.site import ORIGIN_FIELDS
from allocdump.kernel.tags.sites import kind_of

from ..dumpdata import core, run

QUIET, OOM = core("7.2-quiet"), core("6.12-oom")
READING = set(COMMANDS) - {"schema", "shell", "completion"}
WITH = {
    "top": READING - {"usage", "doctor"},
    "sort": READING - {"triage", "whois", "usage", "paths", "doctor"},
    "group_by": {"report", "diff", "pages", "objects", "leaks"},
    "filters": READING - {"triage", "whois", "usage", "paths", "doctor"},
    "format_": READING,
    "output": READING | {"schema"},
    "exact": READING - {"tags", "doctor"},
}
"""Commands that have an option; what cannot be added up has no ``--group-by``, and so on."""

SPELLINGS = {
    "top": ["-n", "--top"],
    "sort": ["-s", "--sort"],
    "group_by": ["-g", "--group-by"],
    "filters": ["-F", "--filter"],
    "format_": ["-f", "--format"],
    "output": ["-o", "--output"],
    "exact": ["-e", "--exact"],
    "min_size": ["--min-size"],
    "as_list": ["-l", "--list"],
}


def options(name: str) -> dict[str, click.Option]:
    return {p.name or "": p for p in load(name).params if isinstance(p, click.Option)}


@pytest.mark.parametrize("name", COMMANDS)
def test_one_name_for_one_thing(name: str) -> None:
    found = options(name)
    assert {option for option, commands in WITH.items() if name in commands} == WITH.keys() & found
    short: dict[str, str] = {}
    for option in found.values():
        if option.name in SPELLINGS:
            assert list(option.opts) == SPELLINGS[option.name]
        for spelling in option.opts:
            if not spelling.startswith("--"):
                assert short.setdefault(spelling, str(option.name)) == option.name
                # Nowhere else does a letter mean one of these.
                shared = {letters[0]: key for key, letters in SPELLINGS.items()}
                assert shared.get(spelling, option.name) == option.name


@pytest.mark.parametrize("name", sorted(READING))
def test_formats(name: str) -> None:
    choice = options(name)["format_"].type
    assert isinstance(choice, click.Choice)
    formats = list(choice.choices)
    assert {"table", "json"} <= set(formats)
    if name != "watch":
        assert "markdown" in formats
    assert not {"text", "tree"} & set(formats)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("pages --site labmod.c:* --limit 2", "pages --filter labmod.c:* --top 2"),
        ("objects --by cache --limit 3", "objects --group-by cache --top 3"),
        ("leaks --limit 1", "leaks --top 1"),
        ("retained --limit 1", "retained --top 1"),
        ("usage --format tree", "usage --format table"),
        ("triage --format text", "triage --format table"),
        ("whois init_task --format text", "whois init_task --format table"),
        ("paths init_task --limit 1 -f text", "paths init_task --top 1 -f table"),
    ],
)
def test_names_of_old(old: str, new: str) -> None:
    was, now = (run(line.split()[0], QUIET, *line.split()[1:]) for line in (old, new))
    assert (was.returncode, was.stdout) == (0, now.stdout)
    for word in set(old.split()) - set(new.split()):
        if word.startswith("--"):
            assert word not in run(old.split()[0], "--help").stdout


def test_old_format_of_tags() -> None:
    module = QUIET.parent / "labmod.ko"
    done = run("tags", module, "--format", "text")
    assert (done.returncode, done.stdout) == (0, run("tags", module).stdout)


def rows(*args: object) -> list[dict[str, str]]:
    done = run(*args, "--format", "csv")
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def of_module(row: dict[str, str]) -> str:
    """What has no call site is of no module, but for the callers in one."""
    return row["module"] or f"({kind_of(row['origin']) or 'built-in'})"


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        ("pages", ["bytes", "pages", "allocations", "inferred_pages"]),
        ("objects", ["bytes", "objects", "used", "lost"]),
        ("leaks", ["lost", "undecided", "allocations", "held", "held_allocations", "heads"]),
    ],
)
def test_groups_are_sums_of_sites(command: str, fields: list[str]) -> None:
    sites = rows(command, OOM)
    modules = rows(command, OOM, "--group-by", "module")
    assert {row["name"] for row in modules} == {of_module(row) for row in sites}
    for row in modules:
        mine = [site for site in sites if of_module(site) == row["name"]]
        assert [int(row[f]) for f in fields] == [sum(int(s[f]) for s in mine) for f in fields]
        names = {tuple(site[f] for f in ORIGIN_FIELDS) for site in mine}
        assert int(row["sites"]) == len(names)
    sizes = [int(row[fields[0]]) for row in modules]
    assert sizes == sorted(sizes, reverse=True)
    shown = run(command, OOM, "--group-by", "directory").stdout
    assert "DIRECTORY" in shown
    assert run(command, OOM, "--group-by", "file", "--list").returncode == 2


@pytest.mark.parametrize(
    ("command", "calls"),
    [("pages", "allocations"), ("objects", "objects"), ("leaks", "allocations"),
     ("audit", "counter_calls"), ("report", "calls")],
)  # fmt: skip
def test_sorting(command: str, calls: str) -> None:
    everything = rows(command, OOM, "--sort", "calls")
    counts = [int(row[calls] or 0) for row in everything]  # empty: nothing tells
    assert counts == sorted(counts, reverse=True)
    assert rows(command, OOM, "--sort", "calls", "--top", "3") == everything[:3]
    places = [(row["file"], int(row["line"] or 0)) for row in rows(command, OOM, "--sort", "name")]
    if command == "report":  # as texts
        places = [(f"{file}:{line}", 0) for file, line in places]
    assert len(places) == len(everything)
    # Origins that are no call sites come last.
    with_site = [place for place in places if place[0]]
    assert places[: len(with_site)] == sorted(with_site)


def test_sorting_a_list() -> None:
    sizes = [int(row["bytes"]) for row in rows("pages", QUIET, "--list", "--sort", "size")]
    assert sizes == sorted(sizes, reverse=True)
    first = rows("pages", QUIET, "--list", "--sort", "size", "--top", "4")
    assert [int(row["bytes"]) for row in first] == sizes[:4]
    done = run("pages", QUIET, "--list", "--sort", "calls")
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be sorted by 'calls'" in done.stderr


@pytest.mark.parametrize(
    "args",
    [("--group-by", "cache", "--filter", "mm/*"), ("--group-by", "vmalloc", "--cache", "dentry"),
     ("--group-by", "cache", "--list")],
)  # fmt: skip
def test_options_that_would_be_ignored(args: tuple[str, ...]) -> None:
    done = run("objects", QUIET, *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "does not go with" in done.stderr


@pytest.mark.parametrize("by", ["site", "cache"])
def test_no_cache_matches(by: str) -> None:
    done = run("objects", QUIET, "--cache", "dentri", "--group-by", by)
    assert (done.returncode, done.stdout) == (2, "")
    assert "No slab cache matches 'dentri'; did you mean 'dentry'" in done.stderr


COMMAND_LINES = [
    ("report", QUIET), ("pages", QUIET), ("objects", QUIET), ("leaks", QUIET), ("audit", QUIET),
    ("retained", QUIET), ("usage", QUIET), ("triage", QUIET), ("whois", QUIET, "init_task"),
    ("paths", QUIET, "init_task"), ("diff", OOM, QUIET), ("tags", QUIET.parent / "labmod.ko"),
]  # fmt: skip


@pytest.mark.parametrize("args", COMMAND_LINES, ids=lambda args: args[0])
def test_every_format_to_a_file(args: tuple[object, ...], tmp_path: Path) -> None:
    choice = options(str(args[0]))["format_"].type
    assert isinstance(choice, click.Choice)
    for format_ in choice.choices:
        path = tmp_path / "output.gz"
        done = run(*args, "--format", format_, "--output", path)
        assert (done.returncode, done.stdout) == (0, ""), (format_, done.stderr)
        text = gzip.decompress(path.read_bytes())
        if format_ == "pprof":  # compressed already, and not twice
            assert not text.startswith(b"\x1f\x8b")
        else:
            assert text.decode() == run(*args, "--format", format_, "--output", "-").stdout
        if format_ == "json":
            assert all(map(json.loads, text.decode().splitlines() if b"\n{" in text else [text]))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["report", "--top", "x"], "'x' is not a whole number."),
        (["report", "--top", "0"], "0 is too small; the least is 1."),
        (["objects", "--hexdump", "99999999"], "99,999,999 is too large; the most is 1,048,576."),
        (["completion"], "Missing argument 'SHELL'. Choose one of bash, zsh, fish.\n"),
        (["schema"], "Missing argument 'COMMAND'. Choose one of triage, report,"),
    ],
)
def test_wrong_values_are_told_in_plain_words(words: list[str], said: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert said in done.stderr
