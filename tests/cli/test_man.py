# SPDX-License-Identifier: LGPL-2.1-or-later
"""Manual pages say what --help says, and roff takes them."""

from __future__ import annotations

import inspect
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from allocdump.cli import load
from allocdump.cli.man import pages
from allocdump.commands import COMMANDS

ROOT = Path(__file__).parent.parent.parent
PAGES = pages()


def shown(page: str) -> str:
    """The page as a terminal has it, its lines joined."""
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-P-c", "-P-b", "-P-u", "-ww", "-rLL=500n"],
        input=page, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return " ".join(done.stdout.split())


def test_pages_are_fresh() -> None:
    """``scripts/man`` writes them."""
    kept = {path.name: path.read_text() for path in (ROOT / "docs" / "man").glob("*.1")}
    assert kept == PAGES


def test_there_is_a_page_for_each_command() -> None:
    assert PAGES.keys() == {"allocdump.1", *(f"allocdump-{name}.1" for name in COMMANDS)}


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_says_what_the_help_says(name: str) -> None:
    text = shown(PAGES[f"allocdump-{name}.1"])
    command = load(name)
    help, _, examples = inspect.cleandoc(command.help or "").partition("\b\nExamples:\n")
    assert all(" ".join(part.split()).rstrip(".") in text for part in help.split("\n\n"))
    assert ("EXAMPLES" in text) == bool(examples)
    lines = PAGES[f"allocdump-{name}.1"].replace(r"\e", "\\").replace(r"\-", "-").splitlines()
    assert {line.strip() for line in examples.splitlines()} - {""} <= set(lines)
    for option in command.params:
        if isinstance(option, click.Option):
            assert all(spelling in text for spelling in option.opts)
            assert " ".join((option.help or "").split()) in text


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
def test_mandoc_has_no_complaint(tmp_path: Path) -> None:
    for name, page in PAGES.items():
        path = tmp_path / name
        path.write_text(page)
        done = subprocess.run(
            ["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True
        )
        assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []
