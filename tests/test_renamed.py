# SPDX-License-Identifier: LGPL-2.1-or-later
"""The judge of ``python -m tests.renamed``, which runs commands where one name is another."""

from __future__ import annotations

import pytest

from .renamed.names import Name
from .renamed.runs import CHEAP, Answer, failures

WORDS = CHEAP[2]


@pytest.mark.parametrize(
    ("after", "sentence"),
    [
        (Answer(70, "", "allocdump: internal error"), "exit code 70"),
        (Answer(5, "", "allocdump: no profile"), "kernel without a profile"),
        (Answer(6, "", ""), "without a word"),
        (Answer(0, '{\n "a": 2\n}', ""), "another answer"),
        (Answer(0, "Traceback (most recent call last)", ""), "traceback"),
        (Answer(0, '{\n "a": null\n}', ""), ""),
        (Answer(0, '{\n "a": 2\n}', "allocdump: warning: 3 tasks are unreadable."), ""),
    ],
)
def test_failures(after: Answer, sentence: str) -> None:
    found = failures({WORDS: Answer(0, '{\n "a": 1\n}', "")}, {WORDS: after})
    assert sentence in found.get(" ".join(WORDS), "") if sentence else not found


def test_no_answer_is_a_failure() -> None:
    assert failures({WORDS: Answer(0, "", "")}, {})


def test_names_say_what_they_are() -> None:
    assert str(Name("member", "lru", "struct page", 7)) == "member struct page.lru"
    assert str(Name("symbol", "modules")) == "symbol modules"
