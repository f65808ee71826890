# SPDX-License-Identifier: LGPL-2.1-or-later
"""The account of all memory as a tree and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tabulate import tabulate

from ..analysis.report import Report
from ..analysis.usage import Node
from . import units
from .header import header

_MAX_CHILDREN = 10


def as_tree(report: Report, root: Node, depth: int, exact: bool) -> str:
    """An indented tree with sizes and shares, beside the kernel's own counters."""
    rows = [["SIZE", "SHARE", "KERNEL'S COUNTER", "DIFFERENCE", "MEMORY"]]
    for level, node in _walk(root, depth):
        counter, difference = "", ""
        if node.counter is not None:
            counter = units.size(node.counter, exact)
            difference = units.size(node.bytes - node.counter, exact)
        name = "  " * level + node.name + (f" ({node.note})" if node.note else "")
        share = units.share(node.bytes, root.bytes)
        rows.append([units.size(node.bytes, exact), share, counter, difference, name])
    # tabulate strips leading blanks, and with them the tree.
    rows = [[*row[:4], "|" + row[4]] for row in rows]
    table = tabulate(
        rows, tablefmt="plain", disable_numparse=True, colalign=["right"] * 4 + ["left"]
    )
    lines = [header(report), ""]
    for line in table.splitlines():
        left, _, name = line.partition("|")
        lines.append((left + name).rstrip())
    return "\n".join(lines) + "\n"


def _walk(node: Node, depth: int, level: int = 0) -> Iterator[tuple[int, Node]]:
    yield level, node
    if level >= depth:
        return
    # The first levels are whole: they add up. Lists of sites are cut.
    shown = node.children if level < 2 else node.children[:_MAX_CHILDREN]
    for child in shown:
        yield from _walk(child, depth, level + 1)
    rest = node.children[len(shown) :]
    if rest:
        name = f"({units.plural(len(rest), 'more')})".replace("mores", "more")
        yield level + 1, Node(name, sum(child.bytes for child in rest))


def as_json(root: Node, depth: int | None, state: str = "dead") -> str:
    """Nested objects; sizes in bytes.

    :param state: of the kernel while it was read
    """

    def node(n: Node, level: int) -> dict[str, Any]:
        out: dict[str, Any] = {
            "name": n.name,
            "bytes": n.bytes,
            "share": n.bytes / root.bytes if root.bytes else 0.0,
            "kernel_counter": n.counter,
        }
        if n.note:
            out["note"] = n.note
        if n.children and (depth is None or level < depth):
            out["children"] = [node(child, level + 1) for child in n.children]
        return out

    document = {
        "schema": "allocdump.usage",
        "version": 1,
        "state": state,
        "memory": node(root, 0),
    }
    return json.dumps(document, indent=1) + "\n"
