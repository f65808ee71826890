# SPDX-License-Identifier: LGPL-2.1-or-later
"""Answers in Python: one line each, a table in a notebook, a data frame."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from allocdump.analysis.diff import compare
from allocdump.analysis.diff import group as group_changes
from allocdump.analysis.growth import Watch
from allocdump.arrays import Columns
from allocdump.result import Result, column
from allocdump.sentence import say
from allocdump.session import Session
from allocdump.session.snapshot import open_snapshot

from .dumpdata import core, open_core

DUMPS = ("6.12-oom", "7.2-quiet")
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "whois": ("init_task",), "referrers": ("init_task",), "paths": ("pfn:2000",),
}  # fmt: skip
NO_ANSWERS = {"close", "survey", "sampler", "all_referrers", "placed"}
LONGEST = 200
"""Characters of an answer; records of a few words may be longer."""


def public(dump: Session) -> Iterator[tuple[str, Any]]:
    """All that a session answers, by the names of its methods and properties."""
    for name, member in inspect.getmembers(Session):
        if name.startswith("_") or name in NO_ANSWERS:
            continue
        value = getattr(dump, name)
        yield name, value(*ARGUMENTS.get(name, ())) if inspect.isfunction(member) else value


def answers() -> Iterator[tuple[str, Any]]:
    dump = open_core(core("6.12-oom"))
    yield from public(dump)
    before, after = (open_snapshot(core(f"7.3-{when}")) for when in ("before", "after"))
    changes = compare(before, after)
    sites = dump.report().sites
    yield "snapshot", before
    yield "changes", changes
    yield "changes by module", group_changes(changes, "module")
    yield "rows", dump.report().by("module")
    yield "sites", sites
    yield "watch", Watch(sites).round(sites, 1.0)
    yield "session", dump


EXPECTED = {
    "report", "audit", "usage", "fragmentation", "attribution", "object_totals", "pages", "objects",
    "vmalloc_areas", "zones", "whois", "referrers", "graph", "reach", "leaks", "dominators",
    "paths", "triage",
    "log",
}  # fmt: skip


class Tables(HTMLParser):
    """Counts cells by row, and finds what is no table."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[int] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append(0)
        elif tag in ("td", "th"):
            self.rows[-1] += 1


def test_every_answer_is_one_line_a_table_and_a_frame() -> None:
    pandas = pytest.importorskip("pandas")
    seen = set()
    for name, answer in answers():
        line = repr(answer)
        assert "\n" not in line
        assert len(line) <= (LONGEST if isinstance(answer, Result) else 3 * LONGEST), line
        assert "array(" not in line
        if isinstance(answer, Result):
            seen.add(name)
            html = Tables(answer._repr_html_())
            frame = answer.to_pandas()
            assert isinstance(frame, pandas.DataFrame)
            assert list(frame) == list(answer.to_dict())
            assert html.tags <= {"p", "table", "thead", "tbody", "tr", "th", "td"}
            assert set(html.rows) == {len(frame.columns)}, name
            assert len(html.rows) == 1 + min(len(frame), 20), name
    assert seen >= EXPECTED


def test_frames_say_what_the_commands_do() -> None:
    dump = open_core(core("6.12-oom"))
    lost = dump.leaks().to_pandas()
    assert (lost.file[0], lost.line[0], lost.module[0]) == ("leaker.c", 44, "leaker")
    assert repr(dump.leaks()).startswith(f"<Leaks: {lost.bytes.sum():,} of ")
    held = dump.dominators().to_pandas()
    top = held[held.level == 0]
    assert top.bytes.is_monotonic_decreasing
    of_recs = held[held.holder == "recs (leaker .data)"]
    assert of_recs.file.tolist() == ["", "leaker.c"]
    audit = dump.audit().to_pandas()
    assert (audit.file == dump.report().sites.file).all()
    found = dump.whois("init_task")
    assert repr(found).endswith("in kernel image>")
    assert found.to_pandas().what.tolist() == [layer.what for layer in found.layers]
    way = dump.paths("pfn:2000", 3).to_pandas()
    assert way.path.tolist() == sorted(way.path)
    suspects = dump.triage().to_pandas()
    assert "(leaker.c:44, leaker_get_page): 73,703,424 bytes lost" in suspects.title[0]
    assert repr(dump.triage()).startswith("<Triage: LEAK in module leaker")
    growth = compare(*(open_snapshot(core(f"7.3-{w}")) for w in ("before", "after"))).to_pandas()
    assert growth.nlargest(1, "growth").function.tolist() == ["leaker_get_page"]


@dataclass
class Evil(Columns):
    title: str
    name: np.ndarray
    address: np.ndarray


def test_notebooks_show_the_largest_first() -> None:
    rows = open_core(core("6.12-oom")).report()._repr_html_().split("<tr>")
    assert "leaker_get_page" in rows[2]
    before, after = (open_snapshot(core(f"7.3-{when}")) for when in ("before", "after"))
    assert "leaker_get_page" in compare(before, after)._repr_html_().split("<tr>")[2]
    tampered = open_core(core("6.12-oom")).audit().take(np.arange(100))
    tampered.counter = tampered.counter + np.where(np.arange(100) == 77, 12345, 0)
    assert "12,345" in tampered._repr_html_().split("<tr>")[2]


def test_text_in_a_notebook_is_escaped() -> None:
    names = np.array(["<script>alert(1)</script>"] * 25, np.object_)
    evil = Evil("<b>", names, np.arange(25, dtype=np.uint64))
    html = evil._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert '<td style="text-align: right">0x13</td>' in html
    assert "5 more rows" in html
    assert repr(evil) == "<Evil: 25 rows of name, address>"


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], np.int64), ([2**64 - 1, 0], np.uint64), ([-1, 2**63], np.object_),
        ([True, False], np.bool_), ([1, None], np.object_), (["a"], np.object_),
        ([], np.object_), ([{"a": 1}], np.object_), ([[1], [2]], np.object_),
    ],
)  # fmt: skip
def test_columns(values: list[Any], dtype: type) -> None:
    made = column(values)
    assert made.dtype == dtype
    assert made.tolist() == values


def test_sentences_for_programmers() -> None:
    sentence = say(
        "{a} {b:bytes} {c:share} {d:count task} {e:count task} {f:seconds} {g:number} {h}",
        a="x", b=4096, c=0.763, d=1, e=1200, f=3.25, g=12345, h=None,
    )  # fmt: skip
    assert str(sentence) == "x 4,096 bytes 76.3% 1 task 1,200 tasks 3.2 s 12345 -"


def test_without_pandas_a_frame_is_refused_in_a_sentence() -> None:
    code = """
import sys, allocdump
sys.modules["pandas"] = None
dump = allocdump.open(sys.argv[1])
for answer in (dump.whois("init_task"), dump.usage(), dump.leaks(), dump.pages()):
    answer._repr_html_()
    try:
        answer.to_pandas()
    except allocdump.errors.ExtraError as e:
        print(e)
"""
    command = [sys.executable, "-c", code, str(core("7.3-tiny"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("pip install 'allocdump[pandas]'") == 4
