# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the package brings along, and what it loads only when it is used."""

import re
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path
from zipfile import ZipFile

import pytest

from . import sizes
from .dumpdata import core, process

ROOT = Path(__file__).parent.parent
HEAVY = {"pandas", "plotly"}
"""Libraries that few commands need: slow to load, or not installed."""

RUN = """
import contextlib, io, sys
from allocdump.cli import cli

def run(line):
    name, *options = line.split()
    with contextlib.redirect_stdout(io.StringIO()):
        cli.main([name, sys.argv[1], *options], standalone_mode=False)

"""
LIGHT = ("report", "report -f json", "usage", "audit", "pages", "objects", "whois init_task")
OPENED = "import sys, allocdump; dump = allocdump.open(sys.argv[1]); "


def loaded(code: str) -> set[str]:
    """Which of the heavy ones are loaded after running *code* on a dump."""
    code += "\nprint(*sys.modules)"
    command = [sys.executable, "-c", code, str(core("7.3-tiny"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.split())


def test_nothing_heavy_is_loaded_unless_it_is_used() -> None:
    assert loaded(RUN + f"for line in {LIGHT}: run(line)") == set()


def test_a_schema_needs_no_library() -> None:
    code = (
        "import sys; from allocdump.formats.schemas import NAMES, schema\nlist(map(schema, NAMES))"
    )
    assert loaded(code) == set()


@pytest.mark.parametrize(
    ("code", "used"),
    [
        (RUN + "run('leaks')", set()),
        (RUN + "run('retained')", set()),
        (RUN + "run('report -f html')", {"plotly"}),
        (OPENED + "dump.report().to_pandas()", {"pandas"}),
    ],
    ids=["leaks", "retained", "page", "frame"],
)
def test_a_library_is_loaded_by_what_uses_it(code: str, used: set[str]) -> None:
    assert loaded(code) == used


def test_types_are_shipped() -> None:
    assert files("allocdump").joinpath("py.typed").is_file()


def test_the_core_is_small() -> None:
    found = sizes.sizes()
    if None in found.values():
        pytest.skip("installed otherwise than by pip")
    assert {"drgn", "numpy", "click"} <= set(found)
    assert sum(size or 0 for size in found.values()) < sizes.LIMIT * sizes.MEGABYTE
    heaviest = sorted(found, key=lambda name: -(found[name] or 0))[:2]
    assert set(heaviest) == {"drgn", "numpy"}


def test_all_of_it_runs_from_an_archive(tmp_path: Path) -> None:
    archive = tmp_path / "allocdump.pyz"
    with ZipFile(archive, "w") as made:
        made.write(ROOT / "packaging" / "zipapp" / "__main__.py", "__main__.py")
        for path in (ROOT / "allocdump").rglob("*"):
            if path.suffix != ".pyc":
                made.write(path, path.relative_to(ROOT))
    for words in (["report", core("7.3-tiny"), "--top", "3"], ["completion", "zsh"]):
        command = [sys.executable, "-I", str(archive), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == process(*words).stdout


@pytest.mark.parametrize(
    ("fake", "sentence"),
    [
        ("sys.version_info = (3, 10)", "Python 3.11 or later is needed"),
        ("sys.modules['numpy'] = None", "The Python library numpy is needed"),
    ],
    ids=["Python", "library"],
)
def test_an_archive_says_what_its_host_lacks(fake: str, sentence: str) -> None:
    start = (ROOT / "packaging" / "zipapp" / "__main__.py").read_text()
    command = [sys.executable, "-c", f"import sys; {fake}\n{start}", "--version"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"allocdump: {sentence}")
    assert done.stderr.count("\n") == 1


def test_scripts_of_the_shell_are_well_formed() -> None:
    places = (ROOT / "scripts",)
    found = [path for place in places for path in place.iterdir() if path.is_file()]
    scripts = [path for path in found if path.read_bytes().startswith(b"#!/bin/sh\n")]
    assert {path.name for path in scripts} >= {"zipapp", "deb", "rpm", "root"}
    for path in scripts:
        assert path.stat().st_mode & 0o111, path
        done = subprocess.run(["sh", "-n", path], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), path


def test_packages_need_what_the_project_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.match(r"[a-z]+", line)[0] for line in project["dependencies"]}  # type: ignore[index]
    spec = (ROOT / "packaging" / "rpm" / "allocdump.spec").read_text()
    required = set(re.findall(r"^Requires: +\(?(?:python3-)?(\w+)", spec, re.MULTILINE))
    assert required - {"python3"} == needed
    least = project["requires-python"].removeprefix(">=")
    assert f"python3 >= {least}\n" in spec
