# SPDX-License-Identifier: LGPL-2.1-or-later
"""Places of pointers in a holder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from drgn import Program, Type

from ..kernel.walk import ReadErrors
from ..text import printable
from .edges import Graph
from .members import cache_type, member_at
from .nodes import NodeKind

_MOST = 1 << 26
"""Larger holders are not searched again."""


@dataclass(frozen=True)
class Place:
    """Place of a pointer."""

    address: int
    offset: int | None
    """From the start of the holder, or of its copy; None if it is not in one place."""
    cpu: int | None
    """Number of the CPU whose copy it is in, for per-CPU memory."""


def find_pointer(graph: Graph, holder: int, target: int) -> Place | None:
    """The first pointer from a node or root into a node; None for a pointer in disguise."""
    if graph.is_root(holder):
        address = graph.scanner.seen_elsewhere(graph.root_index(holder), target)
        if address is not None:
            return Place(address, None, None)
    for start, size, cpu in _memory_of(graph, holder):
        at, found, _ = graph.scanner.scan(start, min(size, _MOST))
        hits = np.flatnonzero(found == target)
        if len(hits):
            address = int(at[hits[0]])
            return Place(address, address - start, cpu)
    return None


def _memory_of(graph: Graph, holder: int) -> Iterator[tuple[int, int, int | None]]:
    """(address, bytes, CPU) of the memory of a node or root."""
    nodes, cpus = graph.nodes, graph.scanner.kernel.cpus
    if graph.is_root(holder):
        root = graph.root(holder)
        if root.where == "per-CPU":
            for cpu, at in cpus.copies(root.start):
                yield at, root.size, cpu
        elif root.start:
            yield root.start, root.size, None
        return
    address, size = int(nodes.address[holder]), int(nodes.size[holder])
    if nodes.kind[holder] == NodeKind.PERCPU:
        for cpu, at in cpus.copies(address):
            yield at, size // len(cpus), cpu
    else:
        yield address, size, None


def cache_of(graph: Graph, node: int) -> tuple[str, int]:
    """Name and object size of the slab cache that a node is of; empty for other nodes."""
    if graph.is_root(node) or graph.nodes.kind[node] != NodeKind.OBJECT:
        return "", 0
    heap = graph.scanner.heap
    cache = int(heap.caches_at(graph.nodes.address[node : node + 1])[0])
    return (heap.caches[cache].name, heap.caches[cache].object_size) if cache >= 0 else ("", 0)


def member_of(graph: Graph, holder: int, offset: int) -> str:
    """The name of the member at an offset, ``recs.next``; empty where no type is known."""
    prog = graph.scanner.memory.prog
    name, type_ = "", None
    if graph.is_root(holder):
        root = graph.root(holder)
        if root.where in ("kernel", "per-CPU"):
            name, type_ = root.name, _variable_type(prog, root.name)
    else:
        cache, size = cache_of(graph, holder)
        type_ = cache_type(prog, cache, size) if cache else None
    if type_ is None:
        return ""
    return printable((name + member_at(type_, offset)).removeprefix(".").encode())


def _variable_type(prog: Program, name: str) -> Type | None:
    try:
        return prog[name].type_
    except ReadErrors:
        return None
