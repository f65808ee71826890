# SPDX-License-Identifier: LGPL-2.1-or-later
"""The account of all memory as one JSON document."""

from __future__ import annotations

from ...analysis.usage import Node
from .json_text import Record, document


def as_json(root: Node, depth: int | None, state: str = "dead") -> str:
    """Nested objects.

    :param depth: levels of the tree; None is all
    :param state: of the kernel while it was read
    """

    def node(n: Node, level: int) -> Record:
        out: Record = {
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

    return document("usage", 1, state=state, memory=node(root, 0))
