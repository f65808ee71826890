# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ways to an allocation: from a root, pointer by pointer."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from ..graph.edges import Graph
from ..graph.nodes import NodeKind
from ..graph.pointer_search import Place, cache_of, find_pointer, member_of
from ..kernel.tags.sites import Sites
from ..result import Result, Values, column
from .reach import NEVER, Reach

_ENDS = 12
"""Number of steps shown at either end of a long way."""


@dataclass(frozen=True)
class Step:
    """An allocation or root on the way, and the pointer in it to the next one."""

    node: int
    """Number in the graph."""
    what: str
    """``slab object``, ``pages`` ...; of roots, their name."""
    site: int | None
    """Row of its site; None for roots."""
    address: int
    """0 for roots that are not in one place."""
    size: int
    cache: str
    pointer: Place | None
    """Place of the pointer; None at the end of the way, or for a pointer in disguise."""
    member: str
    """Name of the pointer's place by its type; empty where no type is known."""
    left_out: int
    """Number of steps left out after this one: more of the same site, as in a list."""


@dataclass(frozen=True)
class Path:
    """A way from a root to an allocation."""

    steps: list[Step]
    length: int
    """Number of pointers on the way, those of steps left out included."""
    lost: bool
    """True if it begins at a lost allocation instead of a root."""


@dataclass(frozen=True)
class Paths(Result):
    """Answer for an address."""

    query: str
    address: int
    node: int | None
    """The allocation around the address; None if it is in none that is judged."""
    found: list[Path]
    sites: Sites = field(default_factory=Sites.none)
    """Those that steps name by their rows."""

    def to_dict(self) -> dict[str, Values]:
        """The steps of all ways as columns, each way from its root on.

        ``path`` counts ways from 0; ``pointer`` is None where there is none, or in disguise.
        """
        rows = [(i, step) for i, path in enumerate(self.found) for step in path.steps]
        steps = [step for _, step in rows]
        site = np.array([-1 if step.site is None else step.site for step in steps], np.int64)
        names = ("what", "address", "size", "cache", "member", "left_out")
        return {
            "path": column([i for i, _ in rows]),
            **{name: column([getattr(step, name) for step in steps]) for name in names},
            "pointer": column([step.pointer and step.pointer.address for step in steps]),
            "site": site,
            **self.sites.names(site),
        }

    def in_short(self) -> str:
        """The start of the first way, and the number of others."""
        if self.node is None:
            return f"{self.query}: in no allocation"
        if not self.found:
            return f"{self.query}: nothing points at it"
        first, *others = self.found
        more = f", and {len(others):,} more ways" if others else ""
        return f"{self.query}: {first.length:,} pointers from {first.steps[0].what}{more}"


_KINDS = {
    NodeKind.OBJECT: "slab object",
    NodeKind.PAGES: "pages",
    NodeKind.VMALLOC: "vmalloc area",
    NodeKind.PERCPU: "per-CPU object",
}


def find_paths(reach: Reach, node: int, limit: int) -> list[Path]:
    """Find the shortest ways to a node through different direct holders, shortest first.

    For a lost node, the lost nodes that point at it.
    """
    graph = reach.graph
    holders = graph.source[graph.target == node].tolist()
    ways = []
    for holder in holders:
        way = [holder] if graph.is_root(holder) else reach.way(holder) or [holder]
        if node not in way:
            # Ways from variables come before those from stacks and the rest.
            ways.append((_tier(reach, holder), len(way), [*way, node]))
    ways.sort(key=lambda w: w[:2])
    return [_path(reach, way) for _, _, way in ways[:limit]]


def _tier(reach: Reach, holder: int) -> int:
    graph = reach.graph
    return int(graph.root(holder).tier if graph.is_root(holder) else reach.tier[holder])


def _path(reach: Reach, way: list[int]) -> Path:
    graph = reach.graph
    lost = not graph.is_root(way[0]) and reach.tier[way[0]] == NEVER
    shown = _shortened([-1 if graph.is_root(n) else int(graph.nodes.site[n]) for n in way])
    steps = []
    for place, i in enumerate(shown):
        following = shown[place + 1] if place + 1 < len(shown) else len(way)
        steps.append(_step(graph, way[i], way[i + 1 : i + 2], following - i - 1))
    return Path(steps, len(way) - 1, bool(lost))


def _shortened(sites: list[int]) -> list[int]:
    """Indexes of the steps to show: of more than three in a row of one site, both ends."""
    shown: list[int] = []
    for _, run in groupby(range(len(sites)), key=sites.__getitem__):
        steps = list(run)
        shown += steps if len(steps) <= 3 else [steps[0], steps[-1]]
    return shown if len(shown) <= 2 * _ENDS else shown[:_ENDS] + shown[-_ENDS:]


def _step(graph: Graph, node: int, following: list[int], left_out: int) -> Step:
    pointer = find_pointer(graph, node, following[0]) if following else None
    member = ""
    if pointer and pointer.offset is not None:
        member = member_of(graph, node, pointer.offset)
    if graph.is_root(node):
        root = graph.root(node)
        return Step(node, str(root), None, root.start, root.size, "", pointer, member, 0)
    nodes = graph.nodes
    return Step(
        node,
        _KINDS[NodeKind(nodes.kind[node])],
        int(nodes.site[node]),
        int(nodes.address[node]),
        int(nodes.size[node]),
        cache_of(graph, node)[0],
        pointer,
        member,
        left_out,
    )


def node_at(graph: Graph, address: int) -> int | None:
    """The node that an address, per-CPU pointer or struct page belongs to; None if none."""
    found = graph.scanner.pointers.whole(np.array([address], np.uint64))
    return int(found[0]) if found[0] >= 0 else None
