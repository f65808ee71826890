# SPDX-License-Identifier: LGPL-2.1-or-later
"""Any document in any format: what it says is in all of them."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import Unpack

import click
import pytest

from allocdump.analysis.usage import Node
from allocdump.sentence import say
from allocdump.view.model import (
    NOT_APPLICABLE,
    UNKNOWN,
    Absent,
    Cell,
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


def test_a_long_label_has_a_space_behind_it() -> None:
    document = chapters()
    document.below = [Fact("in the way", "pipes"), Fact("died", "of it")]
    assert shown("text", document).splitlines()[1:3] == ["IN THE WAY: pipes", "DIED:    of it"]


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


PATH, WORD = "drivers/net/ethernet/very/long/path.c:1", "a_function_of_some_length"


def narrow(width: int) -> str:
    """One row of a size, a path, a function, calls, a module and a note."""
    every: dict[str, tuple[Column, Cell]] = {
        "size": (Column("size", "bytes"), 5),
        "path": (Column("path", "path", names=True, priority=0, min_width=12), PATH),
        "function": (Column("function", "code", names=True, priority=0, min_width=12), WORD),
        "calls": (Column("calls", "count"), 7),
        "module": (Column("module", "module", priority=2), "leaker"),
        "note": (Column("note", footnote=True), "never cut, whatever the width is"),
    }
    table = Table([column for column, _ in every.values()], [[c for _, c in every.values()]])
    document = Document("x", sections=[Section("x", [table])])
    return renderer("text")(document, How(width=width, hint="ask for more"))


def test_a_table_loses_first_what_is_of_least_use() -> None:
    whole = narrow(200)
    assert whole.splitlines()[1].endswith("7  leaker  never cut, whatever the width is")
    assert narrow(120).splitlines() == [
        f"SIZE  PATH{' ' * 37}FUNCTION{' ' * 19}CALLS  MODULE  NOTE",
        f" 5 B  {PATH}  {WORD}      7  leaker  [1]",
        "[1] never cut, whatever the width is",
    ]
    lines = narrow(80).splitlines()
    assert lines[1].split() == ["5", "B", "drivers/…/long/path.c:1", WORD, "7", "leaker", "[1]"]
    lines = narrow(60).splitlines()
    assert lines[1].split() == ["5", "B", "…/path.c:1", WORD, "7", "[1]"]
    assert lines[-1] == "Not shown for want of space: module; ask for more."
    lines = narrow(48).splitlines()
    assert lines[1].split() == ["5", "B", "…/path.c:1", "a_function_of_some_leng…", "[1]"]
    for width in range(26, 200):
        assert max(map(len, narrow(width).splitlines())) <= width


def test_nothing_is_left_out_where_it_is_asked_for_or_there_is_no_terminal() -> None:
    document = Document("x", sections=[Section("x", [TABLE])])
    assert shown("text", document, width=30, wide=True) == shown("text", document)


def test_a_columns_that_says_the_same_everywhere_goes_first() -> None:
    columns = [Column("size", "bytes"), Column("a", priority=2), Column("b", priority=3)]
    table = Table(columns, [[1, "same", "x" * 9], [2, "same", "y" * 9]])
    document = Document("x", sections=[Section("x", [table])])
    assert "same" not in shown("text", document, width=18)
    assert "x" * 9 in shown("text", document, width=18)


def test_headings_take_two_lines_before_columns_go() -> None:
    columns = [Column("size", "bytes"), Column("n", "count", "Kernel's own counter", priority=2)]
    document = Document("x", sections=[Section("x", [Table(columns, [[1, 2]])])])
    assert shown("text", document, width=15).splitlines() == [
        "      KERNEL'S", "           OWN", "SIZE   COUNTER", " 1 B         2",
    ]  # fmt: skip


def test_colours() -> None:
    columns = [Column("part", "share"), Column("confidence", "confidence")]
    table = Table(columns, [[0.5, "certain"], [0.01, "likely"], [UNKNOWN, "none"]])
    document = Document(
        "x", "", Fact("verdict", "bad"), tone="bad", sections=[Section("x", [table])]
    )
    document.chapters = True
    coloured = renderer("text")(document, How(style=click.style, colour=True))
    assert click.style("VERDICT: bad", bold=True, fg="red") in coloured
    assert click.style("████", fg="cyan") in coloured
    assert click.style("certain", fg="red", bold=True) in coloured
    plain = shown("text", document)
    assert "\x1b" not in plain
    assert "█" not in plain
    # Colours do not change where things stand.
    lines = [line.split("certain")[0] for line in click.unstyle(coloured).splitlines()]
    assert "   50.0%  ████  " in lines


def test_commands_go_on_in_the_next_line_as_a_shell_takes_it() -> None:
    command = "allocdump leaks a/long/path/to/vmcore --site 'module=a b' --list --limit 10"
    block = CodeBlock(["# suspect 1", command])
    document = Document("x", sections=[Section("x", [block])])
    lines = shown("text", document, width=40).splitlines()
    assert max(map(len, lines)) <= 40
    script = "allocdump() { printf '%s\\n' \"$@\"; }\n" + "\n".join(lines)
    done = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == shlex.split(command)[1:]
    assert shown("text", document, width=None).splitlines()[1] == command
