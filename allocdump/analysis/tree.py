# SPDX-License-Identifier: LGPL-2.1-or-later
"""Call sites as a tree: directories, files, functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arrays import Int
from ..kernel.tags.sites import Sites
from .diff import Changes
from .groups import Groups
from .site_groups import directory
from .sums import counted_once
from .usage import Node

# Paths come from the dump: no real one is deeper.
_MAX_DEPTH = 30


def site_tree(sites: Sites, sizes: Int, name: str) -> Node:
    """One leaf per site that has a size above zero; children are ordered by size.

    A directory that has nothing but another one in it is one with it. Pages whose objects are
    counted at their sites are left out.

    :param sizes: bytes of each site, shape (number of sites,)
    :param name: of the root
    """
    root = _Directory()
    sizes = counted_once(sites, sizes)
    for i in np.flatnonzero(sizes > 0).tolist():
        file, line, module = sites.file[i], sites.line[i], sites.module[i]
        inside = root
        for part in directory(file, module).split("/", _MAX_DEPTH):
            inside = inside.directories.setdefault(part, _Directory())
        where = f"{file}:{line}" + (f" [{module}]" if module else "")
        leaf = Node(sites.function[i], int(sizes[i]), note=where)
        inside.files.setdefault(file.rpartition("/")[2], []).append(leaf)
    return root.node(name)


@dataclass
class _Directory:
    directories: dict[str, _Directory] = field(default_factory=dict)
    files: dict[str, list[Node]] = field(default_factory=dict)

    def node(self, name: str) -> Node:
        return Node(name).add(
            *(inner.merged(part) for part, inner in self.directories.items()),
            *(Node(file).add(*leaves) for file, leaves in self.files.items()),
        )

    def merged(self, name: str) -> Node:
        """This directory, merged with the only directory in it if it holds nothing else."""
        inside = self
        while len(inside.directories) == 1 and not inside.files:
            ((part, inside),) = inside.directories.items()
            name = f"{name}/{part}"
        return inside.node(name)


def group_tree(groups: Groups) -> Node:
    """Groups, those by the first key outermost; children are ordered by size."""
    root: dict[str, Any] = {}
    for group in groups:
        inside = root
        *above, last = map(groups.text, groups.keys, group.labels)
        for text in above:
            inside = inside.setdefault(text, {})
        inside[last] = group.sums["bytes"]
    return _nested("memory", root)


def _nested(name: str, inside: dict[str, Any]) -> Node:
    parts = inside.items()
    return Node(name).add(
        *(_nested(n, i) if isinstance(i, dict) else Node(n, max(0, i)) for n, i in parts)
    )


def growth_tree(changes: Changes) -> Node:
    """Growth and shrinkage, each as a tree of sites."""
    assert changes.sites is not None
    return Node("changes").add(
        site_tree(changes.sites, changes.growth, "grew"),
        site_tree(changes.sites, -changes.growth, "shrank"),
    )
