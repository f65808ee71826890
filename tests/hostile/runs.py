# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs by number: a seed says which command meets which damage on which dump."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import allocdump

from ..dumpdata import core
from . import child, judge
from .commands import choose, line
from .damage import KINDS, lay
from .places import Places, find_places

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


def plan(seed: int, folders: Sequence[str]) -> Run:
    """The run of a seed; the same for the same folders."""
    chance = random.Random(seed)
    kinds = [*KINDS, "mixed"]
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
    whole = undamaged(run.folder, run.words)
    where = places(run.folder)
    got = child.run(
        line(run.words, str(core(run.folder))),
        lambda prog: lay(prog, where, run.kind, random.Random(run.seed)),
        judge.allowed(whole),
    )
    return got, judge.failure(run.words, run.kind, whole, got)
