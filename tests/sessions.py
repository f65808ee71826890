# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sessions shown in README and docs.

``python -m tests.sessions [PAGE...]`` runs them and writes their output into the pages.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from . import dumpdata

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TYPED = re.compile(r"^>>> (.*\n)", re.MULTILINE)
_PROMPT = ">>> "
_QUOTED = re.compile(r"'[^']*'")
_FOR_A_SHELL = re.compile(r"[|&;<>$*?#\"\\]")
_OF_THEIR_OWN = ("allocdump shell", "allocdump watch")
"""Commands that need a process."""


@dataclass(frozen=True)
class Step:
    """A command of a session, and its output as the page has it."""

    page: Path
    command: str
    output: str

    @property
    def typed(self) -> list[str]:
        """Lines typed in where the command asks for them."""
        return _TYPED.findall(self.output)


def blocks(page: Path, language: str) -> list[str]:
    """Contents of the fenced blocks in a language."""
    return [text for found, text in _BLOCK.findall(page.read_text()) if found == language]


def split(block: str) -> list[tuple[str, str]]:
    """Commands of a block, each with its output."""
    before, *steps = re.split(r"^\$ ", block, flags=re.MULTILINE)
    if before or not steps:
        raise ValueError(f"a console block does not begin with '$ ': {block[:60]!r}")
    return [(command, output) for command, _, output in (step.partition("\n") for step in steps)]


def steps() -> Iterator[Step]:
    """All steps of all sessions."""
    for page in PAGES:
        for block in blocks(page, "console"):
            for command, output in split(block):
                yield Step(page, command, output)


@cache
def run(command: str, typed: tuple[str, ...] = ()) -> str:
    """Text that a terminal shows after a command: both streams, with the lines typed in."""
    plain = command.startswith("allocdump ") and not command.startswith(_OF_THEIR_OWN)
    if not plain or _FOR_A_SHELL.search(_QUOTED.sub("", command)):
        return _in_a_shell(command, typed)
    with chdir(ROOT):
        done = dumpdata.run(*shlex.split(command)[1:])
    return str(done.stderr + done.stdout)


def _in_a_shell(command: str, typed: tuple[str, ...]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        start = "import sys; sys.argv[0] = 'allocdump'; from allocdump.cli import main; main()"
        script = Path(folder) / "allocdump"
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -c {shlex.quote(start)} "$@"\n')
        script.chmod(0o755)
        path = os.pathsep.join([folder, str(Path(sys.executable).parent), os.environ["PATH"]])
        changes = {"PATH": path, "PYTHONUNBUFFERED": "1", "XDG_STATE_HOME": folder}
        done = subprocess.run(
            command,
            shell=True,
            cwd=ROOT,
            input="".join(typed),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | changes,
        )
    return _with_typed(done.stdout, typed) if typed else done.stdout


def _with_typed(output: str, typed: tuple[str, ...]) -> str:
    # A pipe does not echo what comes from it, and its end leaves a last prompt.
    first, *answers = output.split(_PROMPT)
    shown = (f"{_PROMPT}{line}{answer}" for line, answer in zip(typed, answers, strict=False))
    return first + "".join(shown)


def _write_anew(page: Path) -> None:
    def anew(found: re.Match[str]) -> str:
        if found[1] != "console":
            return found[0]
        text = ""
        for command, output in split(found[2]):
            printed = run(command, tuple(_TYPED.findall(output)))
            if printed and not printed.endswith("\n"):
                raise ValueError(f"{page}: {command} does not end its last line")
            text += f"$ {command}\n{printed}"
        return f"```console\n{text}```"

    page.write_text(_BLOCK.sub(anew, page.read_text()))


if __name__ == "__main__":
    for name in sys.argv[1:] or PAGES:
        _write_anew(Path(name))
