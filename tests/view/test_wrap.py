# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lines and names that are too long."""

from __future__ import annotations

import pytest

from allocdump.view.wrap import least, shorten, wrap, wrap_command


def test_words_stay_whole() -> None:
    assert wrap("one two three", 9) == ["one two", "three"]
    assert wrap("one two three", None) == ["one two three"]
    assert wrap("", 9) == [""]
    assert wrap("one two three", 11, "- ") == ["- one two", "  three"]
    assert wrap("one two three", 9, rest="    ") == ["one two", "    three"]


def test_a_word_that_is_longer_than_a_line_is_broken() -> None:
    assert wrap("a" * 25, 10) == ["a" * 10, "a" * 10, "a" * 5]


@pytest.mark.parametrize(
    ("width", "short"),
    [
        (57, "drivers/net/ethernet/vendor/main.c:12 probe_it [driver]"),
        (54, "drivers/…/ethernet/vendor/main.c:12 probe_it [driver]"),
        (51, "drivers/…/vendor/main.c:12 probe_it [driver]"),
        (40, "drivers/…/main.c:12 probe_it [driver]"),
        (30, "…/main.c:12 probe_it [driver]"),
        (28, "drivers/…/main.c:12 probe_it"),
        (20, "…/main.c:12 probe_it"),
        (19, "…/main.c:12 probe_…"),
    ],
)
def test_names_of_sites(width: int, short: str) -> None:
    name = "drivers/net/ethernet/vendor/main.c:12 probe_it [driver]"
    assert shorten(name, width) == short
    assert least(name, 24) == len("…/main.c:12 probe_it")


def test_other_names_lose_their_end() -> None:
    assert shorten("a_long_name", 7) == "a_long…"
    assert shorten("a_long_name", 11) == "a_long_name"
    assert shorten("leaker.c:44 leaker_get [leaker]", 24) == "leaker.c:44 leaker_get"
    assert least("a_long_name", 6) == 6


def test_commands() -> None:
    assert wrap_command("allocdump usage vmcore", 80, "  ") == ["  allocdump usage vmcore"]
    assert wrap_command("allocdump leaks vmcore --site 'a b'", 24) == [
        "allocdump leaks vmcore \\", "    --site 'a b'",
    ]  # fmt: skip
    assert wrap_command("# a remark of some length", 14) == ["# a remark of", "# some length"]
    long = f"allocdump usage {'x' * 40}"
    assert wrap_command(long, 30)[1].strip() == "x" * 40
