# SPDX-License-Identifier: LGPL-2.1-or-later
"""The account of all memory as one JSON document."""

from __future__ import annotations

from collections.abc import Iterator

from ...analysis.usage import Node
from ..spreadsheet import csv_lines
from .json_text import Record, document

_FIELDS = ("bytes", "share", "kernel_counter", "level", "name", "note")


def as_json(root: Node, depth: int | None, state: str = "dead", by: str | None = None) -> str:
    """Nested objects.

    :param depth: levels of the tree; None is all
    :param state: of the kernel while it was read
    :param by: what the children of the root are, if they are no classes
    """
    divided = {} if by is None else {"by": by}
    return document("usage", 1, state=state, **divided, memory=_nested(root, root, depth))


def as_csv(root: Node, depth: int | None) -> Iterator[str]:
    """One row for each part of memory, before the parts that it consists of.

    :param depth: levels of the tree; None is all
    """

    def rows(node: Node, level: int) -> Iterator[Record]:
        yield {**_record(node, root), "level": level}
        if depth is None or level < depth:
            for child in node.children:
                yield from rows(child, level + 1)

    return csv_lines(rows(root, 0), _FIELDS)


def _nested(node: Node, root: Node, depth: int | None) -> Record:
    out = _record(node, root)
    if node.children and depth != 0:
        below = None if depth is None else depth - 1
        out["children"] = [_nested(child, root, below) for child in node.children]
    return out


def _record(node: Node, root: Node) -> Record:
    out: Record = {
        "name": node.name,
        "bytes": node.bytes,
        "share": node.bytes / root.bytes if root.bytes else 0.0,
        "kernel_counter": node.counter,
    }
    return out | {"note": node.note} if node.note else out
