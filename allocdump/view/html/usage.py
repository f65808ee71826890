# SPDX-License-Identifier: LGPL-2.1-or-later
"""The account of all memory as a page."""

from __future__ import annotations

from collections.abc import Iterator

from ...analysis.report import Report
from ...analysis.usage import Node
from .. import units
from .page import Column, Page, Section, Table, Tree, render
from .report import facts, heading

TREE = (
    "Every page is in exactly one class, and slabs are divided into their objects. Click to go"
    " closer, and on the bar above to come back."
)
_FIGURES = 4


def as_page(report: Report, root: Node, problems: list[str]) -> str:
    """A treemap of all memory, its classes beside the kernel's counters, and all leaves.

    :param problems: what to know of how it was counted, besides the report's warnings
    """
    largest = root.children[:_FIGURES]
    return render(
        Page(
            "Where memory went",
            *heading(report),
            figures=[(n.name.capitalize(), units.size(n.bytes)) for n in [root, *largest]],
            facts=facts(report),
            warnings=[*report.warnings, *problems],
            sections=[
                Section(
                    "All memory",
                    [TREE],
                    tree=Tree(root),
                ),
                Section("Classes of memory and the kernel's own counters", table=_classes(root)),
                Section("All parts, down to call sites", table=_leaves(root)),
            ],
        )
    )


def _share(node: Node, root: Node) -> float:
    return node.bytes / root.bytes if root.bytes else 0.0


def _classes(root: Node) -> Table:
    nodes = [root, *root.children, *(n for child in root.children for n in child.children)]
    shown = [n for n in nodes if n is root or n in root.children or n.counter is not None]
    differences = [None if n.counter is None else n.bytes - n.counter for n in shown]
    return Table(
        [
            Column("Size", "size", [n.bytes for n in shown]),
            Column("Share", "share", [_share(n, root) for n in shown]),
            Column("Counter", "size", [n.counter for n in shown]),
            Column("Difference", "growth", differences),
            Column("Memory", "text", [n.name for n in shown]),
            Column("Note", "text", [n.note for n in shown]),
        ],
        noun="class",
        nouns="classes",
    )


def _walk(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
    if not node.children:
        yield path, node
    for child in node.children:
        yield from _walk(child, (*path, child.name))


def _leaves(root: Node) -> Table:
    found = sorted(_walk(root), key=lambda leaf: -leaf[1].bytes)
    return Table(
        [
            Column("Size", "size", [n.bytes for _, n in found]),
            Column("Share", "share", [_share(n, root) for _, n in found]),
            Column("Class", "text", [" › ".join(path[:-1]) for path, _ in found]),
            Column("What", "code", [n.name for _, n in found]),
        ],
        noun="part",
        total="Size",
    )
