# SPDX-License-Identifier: LGPL-2.1-or-later
"""Triage as text, Markdown and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import pytest

from allocdump.analysis.footprint import Footprint
from allocdump.formats.records.triage import as_json
from allocdump.kernel.tags.sites import Sites
from allocdump.sentence import Sentence, say
from allocdump.triage import triage
from allocdump.triage.verdict import Triage
from allocdump.view import markdown, units
from allocdump.view import text as plain_text
from allocdump.view.renderer import How
from allocdump.view.sentence import cell, text
from allocdump.view.triage import sheet

from .. import cases
from ..cases import MIB, case, event, footprint, task, zone
from ..dumpdata import TESTDATA, core, open_core
from ..samples import Wishes

EVIL = "<script>|`*x*`|[a](b)\\_ &lt;"


def page(**changes: Sites | list[Any] | Footprint | None) -> Triage:
    return triage(case(**changes))


def as_text(result: Triage, **how: Unpack[Wishes]) -> str:
    return plain_text.render(sheet(result), How(**how))


def as_markdown(result: Triage) -> str:
    return markdown.render(sheet(result))


def evil() -> Triage:
    sites = replace(cases.SITES, function=np.array([EVIL] * 4, np.object_))
    return page(sites=sites, footprint=footprint((600, 50, 50)), tasks=[task(EVIL, anon=100)])


@pytest.mark.parametrize(
    ("sentence", "plain", "exact"),
    [
        (say("{n:bytes} here", n=3 << 20), "3.00 MiB here", "3,145,728 here"),
        (say("{n:count} and {m:number}", n=12345, m=12345), "12,345 and 12345", None),
        (say("{n:count task}, {m:count task}", n=1, m=2), "1 task, 2 tasks", None),
        (say("{p:share}", p=0.125), "12.5%", None),
        (say("{t:seconds}", t=3700.5), "1 h 1 min", None),
        (say("{a}{b:bytes}", a="{a} {b:bytes}", b=None), "{a} {b:bytes}-", None),
    ],
)
def test_sentences(sentence: Sentence, plain: str, exact: str | None) -> None:
    assert text(sentence) == plain
    assert text(sentence, exact=True) == (exact or plain)


def test_cells() -> None:
    assert [cell(None, "bytes"), cell("x", "bytes"), cell(0, "count")] == ["-", "x", "0"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"),
     (3600, "1 h 0 min"), (90000, "1 d 1 h")],
)  # fmt: skip
def test_durations(seconds: float, shown: str) -> None:
    assert units.duration(seconds) == shown


def test_text_fits_the_terminal() -> None:
    made = evil()
    for width in (80, 100, 120):
        shown = as_text(made, width=width)
        body, _, commands = shown.partition("5. WHAT NEXT")
        tables = [line for line in body.splitlines() if "KEEPS" in line or "<script>" in line]
        assert tables
        assert all(len(line) <= width for line in body.splitlines())
        # Commands are to be pasted: they are never broken.
        assert "   allocdump audit vmcore --all --filter a.c:1" in commands.splitlines()


def test_text_that_is_cut_keeps_its_end() -> None:
    sites = replace(cases.SITES, file=np.array(["drivers/net/" * 9 + "a.c"] * 4, np.object_))
    shown = as_text(page(sites=sites, footprint=footprint((600,))), width=100)
    assert re.search(r"…\S*net/a.c:1", shown)


def test_nothing_stands_out() -> None:
    shown = as_text(page(**cases.QUIET))
    assert shown.startswith("VERDICT: memory was not short: 800 MiB free, 80.0% of memory; nothing")
    assert "   Nothing stands out.\n" in shown
    assert "allocdump report vmcore --top 20" in shown
    assert as_text(page()).startswith(
        "VERDICT: the machine was out of memory, but nothing stands out as the cause"
    )
    unknown = page(zones=[], events=[], footprint=None, usage=None)
    assert as_text(unknown).startswith("VERDICT: nothing tells whether memory was short")


def test_missing_is_said() -> None:
    made = page(missing=["The kernel log is unreadable: x."])
    assert "MISSING\n   - The kernel log is unreadable: x.\n" in as_text(made)
    assert "## Missing\n\n- The kernel log is unreadable: x.\n" in as_markdown(made)


def test_fragmentation_is_shown_when_more_than_a_page_was_wanted() -> None:
    made = page(events=[event(order=3)], zones=[zone(300, blocks=(76800, 5, 0))])
    assert re.search(r"NODE +ZONE +0 +1 +2\n +0 +Normal +76,800 +5 +0\n", as_text(made))
    assert "Free blocks" not in as_text(page())


def test_markdown_takes_strings_for_text() -> None:
    shown = as_markdown(evil())
    assert "<script>" not in shown.replace("\\<script\\>", "")
    assert r"\<script\>\|\`\*x\*\`\|\[a\](b)\\\_ \&lt;" in shown
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) >= 3 for row in rows)
    assert "leaker_get_page" in as_markdown(open_core(core("6.12-oom")).triage())


def test_markdown_tables_are_tables() -> None:
    made = page(tasks=[task(anon=100, cgroup="/a|b")], footprint=footprint((600,)))
    lines = as_markdown(made).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("|") and "RSS" in line)
    columns = [len(re.findall(r"(?<!\\)\|", line)) for line in lines[at : at + 3]]
    assert len(set(columns)) == 1
    assert lines[at + 1].startswith("|---")


def test_json_is_exact() -> None:
    made = page(footprint=footprint((600,)), tasks=[task(anon=3, swap=2)])
    document = json.loads(as_json(made))
    assert (document["schema"], document["version"], document["core"]) == (
        "allocdump.triage", 2, "vmcore"
    )  # fmt: skip
    (suspect,) = document["suspects"]
    assert suspect["bytes"] == suspect["title"]["values"]["size"] == 600 * MIB
    assert suspect["title"]["text"] == (
        "KERNEL MEMORY in module m (a.c:1, first): 600 MiB, 60.0% of memory"
    )
    assert suspect["title"]["values"]["share"] == 0.6
    (row,) = document["holders"]["tasks"]
    assert (row["rss"], row["swap"], row["pid"]) == (3 * MIB, 2 * MIB, 42)


def test_top_rows_and_how_many_more() -> None:
    many = case(tasks=[task(anon=100 - i, pid=i) for i in range(9)])
    table = next(t for t in triage(many, top=4).sections[2].tables if t.key == "tasks")
    assert (len(table.rows), table.left_out) == (4, 5)
    assert "   Tasks (5 more)\n" in as_text(triage(many, top=4))
    whole = next(t for t in triage(many).sections[2].tables if t.key == "tasks")
    assert (len(whole.rows), whole.left_out) == (9, 0)


def test_every_json_field_is_documented() -> None:
    """All fields of all testdata dumps; values of sentences are listed by the sentence."""
    words = (TESTDATA.parent / "docs" / "triage-json.md").read_text()
    documented = set(re.findall(r"^\| `([a-z_.0-9]+)` \|", words, re.MULTILINE))

    def paths(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
        for key, inner in value.items():
            path = f"{prefix}{re.sub(r'order_[0-9]+', 'order_0', key)}"
            inner = inner[0] if isinstance(inner, list) and inner else inner
            if isinstance(inner, dict) and set(inner) == {"text", "values"}:
                yield path
            elif isinstance(inner, dict):
                yield from paths(inner, path + ".")
            else:
                yield path

    found = set()
    for name in ("6.12-oom", "6.12-oom-user", "7.2-oom-memcg", "tiny-never"):
        found |= set(paths(json.loads(as_json(open_core(core(name)).triage()))))
    ill = page(events=[event(fatal=False), event(order=3)], zones=[zone(300, blocks=(1, 0))])
    found |= set(paths(json.loads(as_json(ill))))
    assert found - documented == set()
    # What no dump has: two kinds of failures, life, and reasons not to trust it.
    assert documented - found <= {
        "died.facts.failures",
        "died.facts.events",
        "died.facts.state",
        "holders.facts.kernel_list_differs",
        "holders.facts.disagreement",
    }
