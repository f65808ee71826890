# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was saved of /proc/allocinfo: every kernel's own text, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocdump.formats import allocinfo
from allocdump.kernel.tags.header import is_listing, parse_listing

from ...dumpdata import FOLDERS

SAVED = [
    path
    for folder in FOLDERS
    for name in ("allocinfo.before", "truth.allocinfo")
    if (path := folder / name).exists()
]
V1 = b"allocinfo - version: 1.0\n#     <size>  <calls> <tag info>\n"
RECORD = b"        4096        1 mm/slub.c:9 func:alloc_slab_page \n"


@pytest.mark.parametrize("path", SAVED, ids=lambda path: "/".join(path.parts[-2:]))
def test_the_kernels_own_text_is_read_whole(path: Path) -> None:
    """Written again, it is the same text, byte for byte."""
    raw = path.read_bytes()
    listing = parse_listing(raw)
    assert is_listing(raw[:100])
    assert listing.unreadable == 0
    header = b"".join(raw.splitlines(keepends=True)[:2]).decode()
    assert listing.version in header
    assert "".join(allocinfo.render(header, listing.sites)).encode() == raw


@pytest.mark.parametrize(
    ("line", "site"),
    [
        (b"        4096        1 mm/slub.c:9 func:alloc_slab_page \n",
         ("mm/slub.c", 9, "alloc_slab_page", "", 4096, 1, False)),
        (b"         -50 18446744073709551615 a b.c:1 [mod] func:f.isra.0 accurate:no \n",
         ("a b.c", 1, "f.isra.0", "mod", -50, 2**64 - 1, True)),
        (b"1 1 /x:y/z.c:7 func:f\n", ("/x:y/z.c", 7, "f", "", 1, 1, False)),
        (b"1 1 \x1b[2J.c:7 [m\xff] func:f \r\n", (r"\x1b[2J.c", 7, "f", r"m\xff", 1, 1, False)),
    ],
)  # fmt: skip
def test_records(line: bytes, site: tuple[int | str, ...]) -> None:
    sites = parse_listing(line).sites
    fields = ("file", "line", "function", "module", "bytes", "calls", "inaccurate")
    assert tuple(getattr(sites, name)[0] for name in fields) == site


@pytest.mark.parametrize(
    "line",
    [
        b"vmalloc 1 mm/slub.c:9 func:f \n",
        b"1 1 mm/slub.c func:f \n",
        b"1 1 mm/slub.c:9 f \n",
        b"1 -1 mm/slub.c:9 func:f \n",
        b"9223372036854775808 1 mm/slub.c:9 func:f \n",
        b"1 18446744073709551616 mm/slub.c:9 func:f \n",
        b"1 1 mm/slub.c:4294967296 func:f \n",
        b"1 1 " + b"x" * 5000 + b":1 func:f \n",
        b"\0\0\0\n",
    ],
)
def test_what_is_no_record_is_counted(line: bytes) -> None:
    listing = parse_listing(V1 + RECORD + line)
    assert (len(listing.sites), listing.unreadable) == (1, 1)


def test_a_line_that_was_cut_is_not_believed() -> None:
    assert len(parse_listing(V1 + RECORD * 2).sites) == 2
    assert len(parse_listing((V1 + RECORD * 2)[:-1]).sites) == 2  # only the line end is missing
    cut = parse_listing((V1 + RECORD * 2)[:-5])  # func:alloc_slab_p
    assert (len(cut.sites), cut.unreadable) == (1, 1)


def test_without_a_header_and_sorted() -> None:
    listing = parse_listing(RECORD + V1)
    assert (len(listing.sites), listing.version) == (1, "1.0")
    assert is_listing(RECORD)
    assert parse_listing(RECORD).version == ""


@pytest.mark.parametrize("head", [b"", b"\n\n", b"# only a comment\n", b"{}", b"KDUMP   \0", b"x"])
def test_other_files(head: bytes) -> None:
    assert not is_listing(head)
