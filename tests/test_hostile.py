# SPDX-License-Identifier: LGPL-2.1-or-later
"""Some of the runs of ``scripts/hostile``: damage laid into dumps, and commands must not mind."""

from __future__ import annotations

import pytest

from .dumpdata import core
from .hostile import child
from .hostile.child import Outcome
from .hostile.damage import MARK
from .hostile.judge import failure
from .hostile.runs import execute, plan

FOLDERS = ("7.3-after", "tiny-never", "6.12-oom-user", "7.3-hardened")
"""The smallest dumps, of which commands make short work."""
SEEDS = {
    "7.3-after": (7, 9),
    "tiny-never": (1007, 1010),
    "6.12-oom-user": (2008, 2011),
    "7.3-hardened": (3007, 3009),
}
"""3007 (an absurd area of module tags) and 2011 (no node in the graph) have failed once."""


@pytest.mark.parametrize("folder", FOLDERS)
def test_commands_on_damaged_dumps(folder: str) -> None:
    runs = [plan(seed, [folder]) for seed in SEEDS[folder]]
    wrong = {str(run): sentence for run in runs if (sentence := execute(run)[1])}
    assert not wrong


def test_a_seed_gives_the_same_again() -> None:
    run = plan(3, FOLDERS)
    assert run == plan(3, FOLDERS)
    first, second = execute(run)[0], execute(run)[0]
    assert (first.code, first.out, first.err) == (second.code, second.out, second.err)


def outcome(code: int = 0, out: bytes = b"", err: bytes = b"", memory: int = 0) -> Outcome:
    return Outcome(code, 1.0, memory, out, err)


@pytest.mark.parametrize(
    ("got", "sentence"),
    [
        (outcome(70, err=b"allocdump: internal error\n"), "exit code 70"),
        (outcome(2, err=b"allocdump: no\n"), "exit code 2"),
        (outcome(-11), "signal 11"),
        (outcome(6), "without a word"),
        (outcome(out=b"Traceback (most recent call last)"), "traceback"),
        (outcome(memory=2 << 30), "MiB"),
        (outcome(out=f"\x1b[31m{MARK}".encode()), "control character"),
        (outcome(out=f"\u202e{MARK}".encode()), "control character"),
        (outcome(out=b"{"), "does not parse"),
        (outcome(out=b'{"schema": 1}'), "not as its schema"),
    ],
)
def test_failures(got: Outcome, sentence: str) -> None:
    assert sentence in failure(("usage", "--format", "json"), "absurd", outcome(), got)


def test_missing_memory_needs_a_word() -> None:
    whole, words = outcome(out=b"1\n"), ("pages",)
    assert "without a word" in failure(words, "missing", whole, outcome(out=b"2\n"))
    said = outcome(out=b"2\n", err=b"allocdump: warning: 1 task is unreadable.\n")
    assert failure(words, "missing", whole, said) == ""


def test_a_run_that_does_not_end() -> None:
    def damage(_: object) -> None:
        while True:
            pass

    got = child.run(["report", str(core("tiny-never"))], damage, 1.0)
    assert got.late
    assert "took more than" in failure(("report",), "absurd", outcome(), got)
