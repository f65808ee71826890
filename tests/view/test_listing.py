# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import json
from typing import Any

from allocdump.analysis.report import Report
from allocdump.analysis.usage import Node
from allocdump.formats.records import usage as records
from allocdump.formats.records.json_text import listed
from allocdump.view import usage
from allocdump.view.hexdump import hexdump
from allocdump.view.listing import SITE, column, listing
from allocdump.view.renderer import How
from allocdump.view.text import render

from ..samples import report, sites

ROWS = [
    {"bytes": 4096, "pfn": 12345, "pages": 1234, "file": "a.c", "line": 1, "function": None,
     "module": None, "extra": 1},
    {"bytes": 1, "pfn": 0, "pages": 1, "file": 'b".c', "line": 2, "function": None,
     "module": None, "extra": 2},
]  # fmt: skip
FIELDS = ("bytes", "pfn", "pages", "file", "line", "module")
COLUMNS = (column("bytes", "bytes"), column("pfn", "number"), column("pages", "count"), *SITE)


def table(rows: list[dict[str, Any]], exact: bool) -> str:
    return render(listing(COLUMNS, rows, "Things"), How(exact))


def test_table_leaves_out_what_is_empty() -> None:
    lines = table(ROWS, False).splitlines()
    assert lines[0].split() == ["BYTES", "SITE", "PFN", "PAGES"]
    assert lines[1].split() == ["4.00", "KiB", "a.c:1", "12345", "1,234"]
    assert table(ROWS, True).splitlines()[1].startswith("4,096")
    assert table([], True) == ""


def test_csv_and_json_are_exact() -> None:
    assert "".join(listed(ROWS, FIELDS, "csv")).splitlines() == [
        "bytes,pfn,pages,file,line,module",
        "4096,12345,1234,a.c,1,",
        '1,0,1,"b"".c",2,',
    ]
    assert [json.loads(line) for line in listed(ROWS, FIELDS, "json")] == ROWS


def test_hexdump() -> None:
    assert hexdump(0x1000, bytes(range(60, 78))) == (
        "  0000000000001000  3c 3d 3e 3f 40 41 42 43 44 45 46 47 48 49 4a 4b  <=>?@ABCDEFGHIJK\n"
        "  0000000000001010  4c 4d                                            LM\n"
    )


def tree(of: Report, root: Node, depth: int) -> str:
    return render(usage.document(of, root, depth, []), How(exact=True))


def test_usage_tree() -> None:
    leaves = [Node(f"site {i}", 10 + i) for i in range(20)]
    root = Node("memory", counter=300).add(
        Node("slab").add(Node("objects").add(*leaves)), Node("free", 9)
    )
    of = report(sites(("a.c", 1, "f", "", 1, 1)))
    lines = tree(of, root, 3).splitlines()[2:]
    assert lines[0].split() == ["SIZE", "SHARE", "KERNEL'S", "COUNTER", "DIFFERENCE", "MEMORY"]
    assert lines[1].split() == ["399", "100.0%", "300", "99", "memory"]
    assert sum("site " in line for line in lines) == 10
    assert any("(10 more)" in line for line in lines)
    assert len(tree(of, root, 0).splitlines()) == 4
    document = json.loads(records.as_json(root, None))
    assert document["memory"]["bytes"] == 399
    assert len(document["memory"]["children"][0]["children"][0]["children"]) == 20
    assert "children" not in json.loads(records.as_json(root, 0))["memory"]
