# SPDX-License-Identifier: LGPL-2.1-or-later
"""Any document in any format: what it says is in all of them."""

from __future__ import annotations

import re
from typing import Unpack

import pytest

from allocdump.analysis.usage import Node
from allocdump.sentence import say
from allocdump.view.model import (
    NOT_APPLICABLE,
    UNKNOWN,
    Absent,
    CodeBlock,
    Column,
    Document,
    Fact,
    Facts,
    Item,
    Items,
    Section,
    Table,
    Text,
    Tree,
    Treemap,
)
from allocdump.view.renderer import How, renderer

from ..samples import Wishes

FORMATS = ("text", "markdown", "html")

TABLE = Table(
    [
        Column("size", "bytes"),
        Column("lost", "bytes", zero="none"),
        Column("gfp_mask", "text"),
        Column("inferred", "flag", keep="if said"),
        Column("waste", "count", keep="if not zero"),
        Column("module", "module"),
    ],
    [
        [3 << 20, 0, "GFP_KERNEL", NOT_APPLICABLE, 0, "leaker"],
        [UNKNOWN, 5, Absent("it was cut", "?"), False, 0, ""],
    ],
    title="A table",
    left_out=7,
)
TREE = Tree(
    [Column("size", "bytes"), Column("name")],
    [[3, "root"], [2, "branch"], [1, "leaf"]],
    levels=[0, 1, 2],
    indent=". ",
)
DOCUMENT = Document(
    "Example",
    "Linux 6.12",
    Fact("verdict", say("{size:bytes} is much", size=5 << 20)),
    head=["one line on the dump"],
    figures=[Fact("Figure", "42")],
    facts=[Fact("Host", "db1"), Fact("Unknown", "")],
    problems=["Careful."],
    sections=[
        Section("First", [Facts([Fact("swap", say("{n:bytes}", n=2048))]), TABLE]),
        Section("Second", [Items([Item("cause", [say("{n:count task}", n=2)])], numbered=True)]),
        Section("Third", [CodeBlock(["allocdump usage vmcore"]), TREE]),
        Section("Fourth", [Text(["only for lines"], only="lines"), Text(["a word"])]),
        Section("Map", [Treemap(Node("all", 5), "Click to go closer.")]),
    ],
    summary=["2 rows in all"],
)


def chapters() -> Document:
    return Document(**{**vars(DOCUMENT), "chapters": True})


def shown(format_: str, document: Document = DOCUMENT, **how: Unpack[Wishes]) -> str:
    return renderer(format_)(document, How(**how))


@pytest.mark.parametrize("format_", FORMATS)
def test_what_a_document_says_is_in_every_format(format_: str) -> None:
    text = shown(format_, chapters())
    for words in ("5.00 MiB is much", "2.00 KiB", "3.00 MiB", "GFP_KERNEL", "leaker",
                  "(built-in)", "cause", "2 tasks", "allocdump usage vmcore", "branch",
                  "a word"):  # fmt: skip
        assert words in text, words
    assert ("only for lines" in text) == (format_ != "html")
    assert ("Click to go closer." in text) == (format_ == "html")


def test_columns_that_say_nothing_are_left_out() -> None:
    text = shown("text")
    heading = next(line for line in text.splitlines() if "SIZE" in line)
    assert heading.split() == ["SIZE", "LOST", "GFP", "MASK", "MODULE"]
    assert "WASTE" not in shown("markdown")
    assert "Waste" not in shown("html")


def test_absent_cells_have_a_mark_and_are_null_for_the_script_of_a_page() -> None:
    first, second = shown("text").splitlines()[6:8]
    assert re.split(r"  +", first.strip()) == ["3.00 MiB", "none", "GFP_KERNEL", "leaker"]
    assert re.split(r"  +", second.strip()) == ["-", "5 B", "?", "(built-in)"]
    assert '"values":[3145728,null]' in shown("html")


def test_lines_without_chapters_are_the_head_the_blocks_and_the_summary() -> None:
    lines = shown("text").splitlines()
    assert lines[:2] == ["one line on the dump", ""]
    assert lines[-2:] == ["", "2 rows in all"]
    assert "First" not in lines
    assert "A table (7 more)" in lines
    assert "3 B  root" in [line.strip() for line in lines]
    assert "1 B  . . leaf" in [line.strip() for line in lines]


def test_chapters_are_numbered() -> None:
    text = shown("text", chapters())
    assert text.startswith("VERDICT: 5.00 MiB is much\n\n1. FIRST\n   swap  2.00 KiB\n")
    assert "\n2. SECOND\n   1. cause\n      - 2 tasks\n" in text
    assert "\n## 2. Second\n\n1. **cause**\n    - 2 tasks\n" in shown("markdown", chapters())


def test_exact_sizes() -> None:
    assert "3,145,728" in shown("text", exact=True)
    assert "3,145,728" in shown("markdown", exact=True)


def test_a_page_shows_problems_and_facts_with_a_value() -> None:
    text = shown("html")
    assert "<li>Careful.</li>" in text
    assert "<dt>Host</dt><dd>db1</dd>" in text
    assert "Unknown" not in text


def test_only_columns_that_may_be_cut_are() -> None:
    path, word = "drivers/net/ethernet/very/long/path.c:1", "a_function_of_some_length"
    table = Table(
        [
            Column("path", "path", min_width=12),
            Column("name", "code", min_width=12),
            Column("note"),
        ],
        [[path, word, "never cut whatever the width"]],
    )
    document = Document("x", sections=[Section("x", [table])])
    line = shown("text", document, width=70).splitlines()[1]
    assert re.fullmatch(r"…[^ ]*path\.c:1 +a_function_\S* +never cut whatever the width", line)
    assert len(line) == 70
    narrow = shown("text", document, width=20).splitlines()[1]
    assert narrow == "…ng/path.c:1  a_function_…  never cut whatever the width"
