# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs by number: a seed says which command meets which damage on which dump."""

from __future__ import annotations

import atexit
import random
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import allocdump

from ..dumpdata import core
from . import child, files, judge
from .commands import choose, line
from .damage import KINDS, lay
from .places import Places, find_places

MEMORY_KINDS = (*KINDS, "mixed")
"""Kinds of damage to memory; those to files are :data:`.files.KINDS`."""

_UNLIMITED = 600.0


@dataclass(frozen=True)
class Run:
    """One run, before it happens."""

    seed: int
    folder: str
    """Of testdata/."""
    words: tuple[str, ...]
    """The command, without the dump."""
    kind: str

    def __str__(self) -> str:
        return f"seed {self.seed}: {' '.join(self.words)} on {self.folder}, {self.kind}"


def plan(seed: int, folders: Sequence[str], kinds: Sequence[str] = MEMORY_KINDS) -> Run:
    """The run of a seed; the same for the same folders and kinds."""
    chance = random.Random(seed)
    return Run(seed, chance.choice(folders), choose(chance), chance.choice(kinds))


@cache
def places(folder: str) -> Places:
    """Places for damage, looked for once."""
    return find_places(allocdump.open(core(folder)).prog)


@cache
def undamaged(folder: str, words: tuple[str, ...]) -> child.Outcome:
    """The same command without damage."""
    return child.run(line(words, str(core(folder))), None, _UNLIMITED)


def execute(run: Run) -> tuple[child.Outcome, str]:
    """Do it; also the sentence about what is wrong, empty if nothing is."""
    if run.kind in files.KINDS:
        return _with_file(run)
    whole = undamaged(run.folder, run.words)
    where = places(run.folder)
    got = child.run(
        line(run.words, str(core(run.folder))),
        lambda prog: lay(prog, where, run.kind, random.Random(run.seed)),
        judge.allowed(whole),
    )
    return got, judge.failure(run.words, run.kind, whole, got)


@cache
def _place() -> Path:
    """Where damaged files are written, in the same place each time: answers name it."""
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / "vmcore"


@cache
def _undamaged_file(folder: str, form: str, words: tuple[str, ...]) -> child.Outcome:
    _place().write_bytes(files.file(folder, form).data)
    return child.run(line(words, str(_place())), None, _UNLIMITED)


def _with_file(run: Run) -> tuple[child.Outcome, str]:
    form = files.form(run.seed)
    whole = _undamaged_file(run.folder, form, run.words)
    data = files.file(run.folder, form).damaged(run.kind, random.Random(run.seed))
    _place().write_bytes(data)
    got = child.run(line(run.words, str(_place())), None, judge.allowed(whole))
    return got, judge.failure(run.words, run.kind, whole, got)
