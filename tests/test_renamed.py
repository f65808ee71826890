# SPDX-License-Identifier: LGPL-2.1-or-later
"""``python -m tests.renamed``, which runs commands where one name is another: judge and sample."""

from __future__ import annotations

import pytest

from .renamed.names import Name
from .renamed.runs import CHEAP, WHOIS, Answer, failures, with_another

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


@pytest.mark.xdist_group("renamed")
def test_a_name_that_whois_reads() -> None:
    assert with_another("7.3-tiny", Name("symbol", "_text"), WHOIS[1:]) == {}


@pytest.mark.xdist_group("renamed")
@pytest.mark.parametrize(
    "name",
    [
        Name("symbol", "nr_cpu_ids"),
        Name("symbol", "init_pid_ns"),
        Name("symbol", "pcpu_chunk_lists"),
        Name("symbol", "__stop_alloc_tags"),
        Name("type", "alloc_tag_module_section"),
        Name("enumerator", "PIDTYPE_PID"),
        Name("enumerator", "PGTY_slab"),
    ],
    ids=str,
)
def test_a_sample(name: Name) -> None:
    """All others take half an hour; members have a test of their own in test_releases."""
    assert with_another("7.3-tiny", name, CHEAP) == {}
