# SPDX-License-Identifier: LGPL-2.1-or-later
"""What README and docs show is real, and what they link to is there."""

from __future__ import annotations

import doctest
import re
from functools import cache
from pathlib import Path

import click
import pytest

from allocdump.cli import load
from allocdump.cli.options import OPENING
from allocdump.commands import COMMANDS

from .sessions import PAGES, ROOT, Step, blocks, run, steps

STEPS = list(steps())
PYTHON = [(page, text) for page in PAGES for text in blocks(page, "pycon")]
SHARED = ("filters", "min_size", "top", "as_list", "exact", "output", "wide")
COMMAND_PAGES = ROOT / "docs" / "commands"


def name(value: str | Path) -> str | None:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else None


def test_there_are_sessions() -> None:
    assert {step.page for step in STEPS} >= {ROOT / "README.md", *command_pages().values()}
    assert any(step.typed for step in STEPS)
    assert PYTHON


@pytest.mark.parametrize("step", STEPS, ids=lambda s: f"{name(s.page)}: {s.command}")
def test_session(step: Step) -> None:
    assert run(step.command, tuple(step.typed)) == step.output


@pytest.mark.parametrize(("page", "text"), PYTHON, ids=name)
def test_python_session(page: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    test = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    output: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=output.append)
    assert result.failed == 0, "".join(output)


def command_pages() -> dict[str, Path]:
    """The page of each command, as the README's table links to it."""
    rows = re.findall(
        r"^\| \[`allocdump (\w+)[^`]*`\]\((docs/commands/.*?)\)",
        (ROOT / "README.md").read_text(),
        re.MULTILINE,
    )
    return {command: ROOT / page for command, page in rows}


def test_every_command_has_a_page() -> None:
    assert set(command_pages()) == set(COMMANDS)
    pages = set(COMMAND_PAGES.glob("*.md")) - {COMMAND_PAGES / "index.md"}
    assert set(command_pages().values()) == pages


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command: str) -> None:
    shared = (COMMAND_PAGES / "index.md").read_text()
    own = command_pages()[command].read_text()
    for option in load(command).params:
        if isinstance(option, click.Option) and option.name != "help":
            where = shared if option.name in (*OPENING, *SHARED) else own
            for spelling in (*option.opts[-1:], *option.secondary_opts):
                if spelling.startswith("--"):
                    assert f"`{spelling}" in where, spelling


@cache
def anchors(page: Path) -> set[str]:
    """As GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target
