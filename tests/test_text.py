# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import pytest

from allocdump.text import printable, some


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"mm/slub.c", "mm/slub.c"),
        (b"", ""),
        (b"\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        (b"two\nlines\r\t", r"two\nlines\r\t"),
        (b"\xff\xfe", r"\xff\xfe"),
        ("\u202egnp.exe".encode(), r"\u202egnp.exe"),
        ("größe".encode(), "größe"),
        (b"nul\0", r"nul\x00"),
    ],
)
def test_printable(raw: bytes, text: str) -> None:
    assert printable(raw) == text


def test_numbers_of_things() -> None:
    assert some(1, "page is", "pages are") == "1 page is"
    assert some(0, "page is", "pages are") == "0 pages are"
    assert some(2000, "page is", "pages are") == "2,000 pages are"
