# SPDX-License-Identifier: LGPL-2.1-or-later
"""Triage as a page: all of it is there, with the numbers that the text has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allocdump.kernel.machine.oom import Victim
from allocdump.kernel.tags.sites import SiteName
from allocdump.sentence import Value
from allocdump.triage import triage
from allocdump.triage.verdict import Records, Triage
from allocdump.view.html.page import render
from allocdump.view.sentence import cell, text
from allocdump.view.triage import page, title

from .. import cases
from ..cases import case, event, footprint, task
from ..dumpdata import core, open_core
from .test_html import EVIL, Reader

DUMPS = [
    core("6.12-oom"),
    core("6.12-oom-user"),
    core("7.2-oom-memcg"),
    core("7.2-quiet", "vmcore.d31"),
    core("tiny-never"),
]


def page_of(result: Triage) -> str:
    return render(page(result))


def tables(reader: Reader) -> list[list[dict[str, Any]]]:
    """The columns of all tables, as the page's script has them."""
    documents = [json.loads(data) for kind, data in reader.scripts if kind == "application/json"]
    return [document["columns"] for document in documents if "columns" in document]


def trees(reader: Reader) -> list[list[Any]]:
    documents = [json.loads(data) for kind, data in reader.scripts if kind == "application/json"]
    return [document["root"] for document in documents if "root" in document]


def values_of(table: Records) -> Iterator[tuple[str, Sequence[Value]]]:
    """Kind and values of what people are shown: of a site, three columns, names second."""
    names: list[tuple[str, Sequence[Value]]] = []
    others: list[tuple[str, Sequence[Value]]] = []
    for i, field in enumerate(table.fields):
        values = [row[i] for row in table.rows]
        if field.kind == "site":
            sites = [value for value in values if isinstance(value, SiteName)]
            assert len(sites) == len(values)
            names.append(("text", [site.place for site in sites]))
            names.append(("text", [site.function for site in sites]))
            others.append(("module", [site.module or None for site in sites]))
        elif field.kind == "label":
            assert all(value is None or isinstance(value, SiteName) for value in values)
            labels = [value.label if isinstance(value, SiteName) else None for value in values]
            names.append(("text", labels))
        elif not field.detail:
            plain = [value for value in values if not isinstance(value, SiteName)]
            assert len(plain) == len(values)
            others.append((field.kind, plain))
    yield from [*others[:1], *names, *others[1:]]


@pytest.mark.parametrize("path", DUMPS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_whole_triage_is_in_the_page(path: Path) -> None:
    made = open_core(path).triage()
    reader = Reader(page_of(made))
    said = [text(made.verdict), *made.missing, *made.commands]
    said += [text(fact.value) for section in made.sections for fact in section.facts]
    for suspect in made.suspects:
        said += [text(title(suspect)), *map(text, suspect.evidence), *suspect.commands]
    assert [sentence for sentence in said if sentence not in reader.text] == []
    every = [table for section in made.sections for table in section.tables]
    shown = tables(reader)
    assert len(shown) == len(every) > 0
    kinds = {"size": "bytes", "number": "number", "count": "count", "share": "share",
             "duration": "seconds"}  # fmt: skip
    for table, columns in zip(every, shown, strict=True):
        expected = [
            [cell(value, kind) for value in values]
            for kind, values in values_of(table)
            if any(value not in (None, "") and value is not False for value in values)
        ]
        assert expected == [
            [cell(value, kinds.get(column["kind"], "text")) for value in column["values"]]
            for column in columns
        ]
    assert made.usage is not None
    assert [tree[1] for tree in trees(reader)] == [made.usage.bytes]


def test_the_figures() -> None:
    made = triage(case(footprint=footprint((600, 50))))
    shown = Reader(page_of(made)).text
    for words in ("Linux 6.12.0", "Managed memory0.98 GiB", "At call sites650 MiB", "Suspects1",
                  "First suspect600 MiB", "Dumpvmcore"):  # fmt: skip
        assert words in shown


def test_hostile_names_stay_text() -> None:
    sites = replace(cases.SITES, function=np.array([EVIL] * 4, np.object_))
    victim = Victim(comm=EVIL, pid=1234567)
    made = triage(
        case(
            sites=sites,
            footprint=footprint((600, 50, 50)),
            tasks=[task(EVIL, anon=100, cgroup=EVIL)],
            events=[event(task=EVIL, gfp_mask=EVIL, victim=victim)],
            missing=[EVIL],
        )
    )
    made.suspects[0].commands.append(EVIL)
    reader = Reader(page_of(made))
    assert not any(tag in ("img", "a", "link", "iframe") for tag, _ in reader.elements)
    assert not any(name in ("src", "href") or name.startswith("on")
                   for _, attributes in reader.elements for name in attributes)  # fmt: skip
    assert not any(data.startswith("alert") for _, data in reader.scripts)
    # The verdict, the suspect's title and evidence, a command, what is missing, and cells.
    assert reader.text.count(EVIL) >= 9
    assert "1234567" in reader.text  # a pid has no separators


def test_nothing_stands_out() -> None:
    made = triage(case(**cases.QUIET))
    shown = Reader(page_of(made)).text
    assert "Nothing stands out." in shown
    assert made.commands
    assert all(command in shown for command in made.commands)


def test_without_an_account_of_memory_there_is_no_chart() -> None:
    made = triage(case(usage=None, footprint=None, zones=[], events=[], tasks=[task(anon=1)]))
    reader = Reader(page_of(made))
    assert trees(reader) == []
    assert "nothing tells whether memory was short" in reader.text
    assert "Managed memory" not in reader.text


def test_a_path_that_is_no_utf_8_is_shown_escaped() -> None:
    made = triage(case())
    made.core = "a\udcff"
    assert "a\\xff" in Reader(page_of(made)).text
