# SPDX-License-Identifier: LGPL-2.1-or-later
"""The account of all memory as a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..analysis.report import Report
from ..analysis.usage import Node
from ..sentence import say
from .header import about
from .model import NOT_APPLICABLE, Absent, Cell, Column, Document, Fact, Section, Table, Tree
from .treemap import all_memory

_MAX_CHILDREN = 10
_MAX_PARTS = 20
_FIGURES = 4

_TITLES = {
    None: "Classes of memory and the kernel's own counters",
    "cgroup": "Memory cgroups",
    "node": "NUMA nodes",
}
_NO_COUNTER = Absent("the kernel has no counter of it")
_NO_MEMORY = Absent("no memory to have a share of")
_SIZE = Column("bytes", "bytes", "Size", priority=0)
_SHARE = Column("share", "share", priority=2)


def document(
    report: Report, root: Node, depth: int, problems: list[str], by: str | None = None
) -> Document:
    """A tree of all memory beside the kernel's counters; on a page, all of it.

    :param depth: levels of the tree
    :param problems: sentences on how it was counted, besides the report's warnings
    :param by: what the children of *root* are, if they are no classes
    """
    largest = [root, *root.children[:_FIGURES]]
    out = about(report, "Where memory went", problems)
    out.lead = Fact("reason", report.origin.reason)
    out.figures = [Fact(n.name.capitalize(), say("{n:bytes}", n=n.bytes)) for n in largest]
    out.sections = [
        Section("All memory", [all_memory(root), _tree(root, depth, divided=by is not None)]),
        Section(_TITLES[by], [_classes(root)]),
        Section("All parts, down to call sites", [_leaves(root)]),
    ]
    return out


def _share(node: Node, root: Node) -> Cell:
    return node.bytes / root.bytes if root.bytes > 0 else _NO_MEMORY


def _tree(root: Node, depth: int, divided: bool) -> Tree:
    most = [_MAX_PARTS, None, None] if divided else [None, None]
    nodes = list(_walk(root, depth, most))
    return Tree(
        [
            _SIZE,
            _SHARE,
            Column("counter", "bytes", "Kernel's counter", priority=2),
            Column("difference", "bytes", priority=2),
            Column("name", title="Memory", priority=0, min_width=12),
            Column("note", keep="if said", footnote=True),
        ],
        [
            [
                node.bytes,
                _share(node, root),
                NOT_APPLICABLE if node.counter is None else node.counter,
                NOT_APPLICABLE if node.counter is None else node.bytes - node.counter,
                node.name,
                node.note,
            ]
            for _, node in nodes
        ],
        levels=[level for level, _ in nodes],
        only="lines",
    )


def _walk(
    node: Node, depth: int, most: Sequence[int | None], level: int = 0
) -> Iterator[tuple[int, Node]]:
    """Steps through the tree; classes are whole, since they add up, and lists of sites are cut.

    :param most: children that are shown on each of the first levels; None is all
    """
    yield level, node
    if level >= depth:
        return
    shown = node.children[: most[level] if level < len(most) else _MAX_CHILDREN]
    for child in shown:
        yield from _walk(child, depth, most, level + 1)
    rest = node.children[len(shown) :]
    if rest:
        yield level + 1, Node(f"({len(rest):,} more)", sum(child.bytes for child in rest))


def _classes(root: Node) -> Table:
    nodes = [root, *root.children, *(n for child in root.children for n in child.children)]
    shown = [n for n in nodes if n is root or n in root.children or n.counter is not None]
    return Table(
        [
            _SIZE,
            _SHARE,
            Column("counter", "bytes"),
            Column("difference", "growth"),
            Column("name", title="Memory"),
            Column("note"),
        ],
        [
            [
                n.bytes,
                _share(n, root),
                _NO_COUNTER if n.counter is None else n.counter,
                _NO_COUNTER if n.counter is None else n.bytes - n.counter,
                n.name,
                n.note,
            ]
            for n in shown
        ],
        noun="class",
        nouns="classes",
        only="page",
    )


def _leaves(root: Node) -> Table:
    found = [(path, node) for path, node in root.walk() if not node.children]
    found.sort(key=lambda leaf: -leaf[1].bytes)
    return Table(
        [_SIZE, _SHARE, Column("class"), Column("what", "code")],
        [[n.bytes, _share(n, root), " › ".join(path[1:-1]), n.name] for path, n in found],
        noun="part",
        total="bytes",
        only="page",
    )
