# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a page is made of; tests/browser shows it to a browser."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from allocdump.analysis.counted import by_counters
from allocdump.analysis.keys import KEYS
from allocdump.analysis.report import rows_of
from allocdump.analysis.sums import total
from allocdump.analysis.tree import growth_tree, site_tree
from allocdump.analysis.usage import Node
from allocdump.errors import ExtraError
from allocdump.view.html import library, page
from allocdump.view.model import (
    UNKNOWN,
    CodeBlock,
    Column,
    Document,
    Fact,
    Section,
    Table,
    Text,
    Treemap,
)
from allocdump.view.report import document, groups

from .. import samples
from ..dumpdata import core

EVIL = "</script><script>alert(1)</script><img src=x onerror='alert(1)'>\u2028&\""


class Reader(HTMLParser):
    """Elements with their attributes, and the text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.text = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append((self.elements[-1][1].get("type"), data))
        elif self._inside != "style":
            self.text += data


def evil_page() -> str:
    columns = [Column("evil", "code", EVIL), Column("size", "bytes")]
    table = Table(columns, [[EVIL, 5], [UNKNOWN, UNKNOWN]])
    tree = Treemap(Node(EVIL).add(Node(EVIL, 5, note=EVIL)), EVIL)
    section = Section(EVIL, [Text([EVIL]), CodeBlock([EVIL]), tree, table])
    fact = Fact(EVIL, EVIL)
    return page.render(
        Document(
            EVIL, EVIL, fact, figures=[fact], facts=[fact], problems=[EVIL], sections=[section]
        )
    )


def chart(root: Node) -> Document:
    return Document("Report", "Linux", sections=[Section("x", [Treemap(root, "Click.")])])


def test_everything_is_escaped() -> None:
    reader = Reader(evil_page())
    kinds = [kind for kind, _ in reader.scripts]
    assert kinds == ["application/json", "application/json", "text/plain", None]
    assert not any(tag in ("img", "a", "link", "iframe") for tag, _ in reader.elements)
    assert not any(name in ("src", "href") or name.startswith("on")
                   for _, attributes in reader.elements for name in attributes)  # fmt: skip
    assert reader.text.count(EVIL) >= 10
    tree, table = (json.loads(data) for kind, data in reader.scripts[:2])
    assert tree["root"] == [EVIL, 5, "", [[EVIL, 5, EVIL, []]]]
    assert table["columns"][0]["values"] == [EVIL, None]
    for _, data in reader.scripts[:2]:
        assert "<" not in data
        assert data.isascii()


def test_only_the_pages_own_scripts_may_run() -> None:
    reader = Reader(evil_page())
    policy = next(a["content"] for _, a in reader.elements if "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    packed, own = (data for kind, data in reader.scripts if kind in ("text/plain", None))
    scripts = [gzip.decompress(base64.b64decode(packed)), own.encode()]
    assert allowed == {base64.b64encode(hashlib.sha256(s).digest()).decode() for s in scripts}
    assert "unsafe" not in policy.partition("script-src")[2].partition(";")[0]


def test_without_a_chart_the_library_is_neither_needed_nor_in_the_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page, "plotly", lambda: 1 / 0)
    text = page.render(
        Document("Triage", "Linux 6.12", sections=[Section("Suspects", [Text(["None."])])])
    )
    assert len(text) < 40_000
    assert "None." in Reader(text).text


def test_without_the_library_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(package: str) -> None:
        raise ModuleNotFoundError(package)

    monkeypatch.setattr(library, "files", missing)
    library.plotly.cache_clear()
    with pytest.raises(ExtraError, match=r"pip install 'allocdump\[html\]'"):
        page.render(chart(Node("all", 1)))
    monkeypatch.undo()
    library.plotly.cache_clear()


def test_without_the_library_the_command_ends_in_that_sentence() -> None:
    code = "import sys; sys.modules['plotly'] = None\nimport allocdump.cli; allocdump.cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "report", str(core("7.3-tiny")), "--format", "html"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("allocdump: This needs the Python library plotly")
    assert done.stderr.count("\n") == 1


def test_a_viewer_without_scripts_shows_the_first_rows() -> None:
    table = Table([Column("size", "bytes")], [[n] for n in range(1000, 0, -1)], noun="site")
    document = Document("Report", "Linux", sections=[Section("Sites", [table])])
    reader = Reader(page.render(document))
    assert "0.98 KiB" in reader.text
    assert "1,000 sites" in reader.text
    assert sum(tag == "td" for tag, _ in reader.elements) == 20


def test_what_cannot_be_an_area_is_left_out_of_the_tree() -> None:
    root = Node("all").add(Node("much", 10), Node("less than nothing", -4), Node("none", 0))
    text = page.render(chart(root))
    ((_, data),) = [s for s in Reader(text).scripts if s[0] == "application/json"]
    assert json.loads(data)["root"] == ["all", 10, "", [["much", 10, "", []]]]


ROWS = [
    ("drivers/net/a/b/x.c", 1, "f", "drv", 4096, 1),
    ("drivers/net/a/b/y.c", 2, "g", "drv", 1024, 1),
    ("drivers/net/a/b/y.c", 3, "g", "drv", 1025, 1),
    ("drivers/usb/z.c", 4, "h", "", 1, 1),
    ("leaker.c", 5, "i", "leaker", 7, 1),
    ("mm/negative.c", 6, "j", "", -7, 1),
    ("init/nothing.c", 7, "k", "", 0, 0),
]


def outline(node: Node) -> str:
    if not node.children:
        return f"{node.name}={node.bytes}"
    return f"{node.name}({' '.join(map(outline, node.children))})"


def test_tree_of_sites() -> None:
    sites = samples.sites(*ROWS)
    tree = site_tree(sites, sites.bytes, "memory")
    assert outline(tree) == (
        "memory(drivers(net/a/b(x.c(f=4096) y.c(g=1025 g=1024)) usb(z.c(h=1)))"
        " [leaker](leaker.c(i=7)))"
    )
    leaf = tree.children[0].children[0].children[0].children[0]
    assert leaf.note == "drivers/net/a/b/x.c:1 [drv]"
    empty = sites.take(np.zeros(0, np.intp))
    assert site_tree(empty, empty.bytes, "memory").children == []


def test_a_path_without_end_is_no_tree_without_end() -> None:
    rows = [("d/" * n + f"{n}.c", 1, "f", "", 1, 1) for n in range(1, 3000)]
    sites = samples.sites(*rows)
    assert site_tree(sites, sites.bytes, "memory").bytes == len(rows)


def test_report_page() -> None:
    sites = samples.sites(*ROWS)
    report = samples.report(sites, warnings=["careful"])
    rows, everything = rows_of(sites), total(sites)
    tree = site_tree(sites, sites.bytes, "x")
    text = page.render(document(report, rows, everything, everything, tree))
    shown = Reader(text).text
    for words in ("Linux 6.12.0", "2026-01-02 03:04:05 UTC", "Kernel panic", "db1", "careful",
                  "complete", "kdump, zstd, -d 31", "6.00 KiB"):  # fmt: skip
        assert words in shown
    by_module = by_counters([KEYS["module"]], sites)
    text = page.render(groups(report, by_module, everything, everything, None))
    assert "By module" in Reader(text).text


def test_tree_of_growth_has_two_sides() -> None:
    from allocdump.analysis.diff import Snapshot, compare

    before = samples.sites(("mm/x.c", 1, "f", "", 10, 1), ("mm/y.c", 2, "g", "", 9, 1))
    after = samples.sites(("mm/x.c", 1, "f", "", 25, 1), ("mm/z.c", 3, "h", "", 1, 1))
    changes = compare(*(Snapshot("", "report", sites) for sites in (before, after)))
    assert outline(growth_tree(changes)) == (
        "changes(grew(mm(x.c(f=15) z.c(h=1))) shrank(mm(y.c(g=9))))"
    )
