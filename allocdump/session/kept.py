# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes that keep memory by their open files, their keys and their watches."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import U64, sum_by
from ..kernel.machine.bpf_maps import MAP_KIND, map_name
from ..kernel.machine.inodes import Neighbors, Pins, pins
from ..kernel.machine.keyrings import keyrings
from ..kernel.machine.open_files import Parts
from ..triage.evidence import Evidence, Keeper, Watcher

if TYPE_CHECKING:
    from ..analysis.reach import Reach
    from ..graph.nodes import Heap
    from ..kernel.kernel import Kernel

KEY = "key"
"""Kind of what keyrings keep."""
_MOST = 5
"""So many processes are told."""
_MOST_THINGS = 100
"""So many of their files are looked at for a name."""


def note_pins(case: Evidence, kernel: Kernel, reach: Reach, parts: Parts) -> None:
    """Add to a case which inodes are in use, and who watches them.

    :param parts: of all open files
    """
    case.pins = pins(kernel, _neighbors(reach.graph.scanner.heap))
    case.watchers = _watchers(case.pins, parts, _names(case))


def note_kept(case: Evidence, kernel: Kernel, reach: Reach, parts: Parts) -> None:
    """Add to a case what processes keep.

    :param parts: of all open files
    """
    counts = {one.pid: one.kinds for one in case.files}
    names = _names(case)
    kept = _keepers(reach, parts)
    case.kept = [_keeper(kernel, one, names, counts.get(one.pid, {})) for one in kept]
    keys = _key_holders(kernel, reach)
    case.keys = [_keeper(kernel, one, names, {KEY: one.parts}) for one in keys]


def _names(case: Evidence) -> dict[int, str]:
    return {one.pid: one.comm for one in case.files} | {t.pid: t.comm for t in case.tasks}


class _Kept:
    """Memory that the parts of one process keep."""

    def __init__(self, pid: int, parts: int) -> None:
        self.pid, self.parts = pid, parts
        self.kinds, self.sites = Counter[str](), Counter[int]()
        self.things = Counter[tuple[str, int]]()
        """Bytes by kind and address."""


def _keepers(reach: Reach, parts: Parts) -> list[_Kept]:
    """Of the processes that keep most, most first."""
    from ..analysis.keepers import kept_by

    nodes = reach.graph.nodes
    node = reach.graph.scanner.heap.at(parts.address)
    parts, node = parts.take(node >= 0), node[node >= 0]
    if not len(node):
        return []
    part = kept_by(reach, node)
    kept = np.flatnonzero(part >= 0)
    part, size, site = part[kept], nodes.size[kept], nodes.site[kept]
    pids, process = np.unique(parts.pid, return_inverse=True)
    process = process.ravel()
    total = sum_by(process[part], size, len(pids))
    out = []
    for row in np.argsort(-total, kind="stable")[:_MOST].tolist():
        one = _Kept(int(pids[row]), int(np.count_nonzero(process == row)))
        mine = process[part] == row
        of_part = sum_by(part[mine], size[mine], len(parts))
        for i in np.flatnonzero(of_part).tolist():
            one.kinds[str(parts.kind[i])] += int(of_part[i])
            if not parts.is_file[i]:
                one.things[str(parts.kind[i]), int(parts.address[i])] += int(of_part[i])
        rows, which = np.unique(site[mine], return_inverse=True)
        sums = sum_by(which.ravel(), size[mine], len(rows))
        one.sites.update(dict(zip(rows.tolist(), sums.tolist(), strict=True)))
        out.append(one)
    return out


def _keeper(kernel: Kernel, one: _Kept, names: dict[int, str], counts: dict[str, int]) -> Keeper:
    things: dict[str, int] = {}
    for (kind, address), size in one.things.most_common(_MOST_THINGS):
        name = map_name(kernel.prog, address) if kind == MAP_KIND else ""
        if name:
            things[f"BPF map {name}"] = things.get(f"BPF map {name}", 0) + size
    return Keeper(
        one.pid,
        names.get(one.pid, "?"),
        dict(one.kinds.most_common()),
        {kind: counts.get(kind, 0) for kind, _ in one.kinds.most_common()},
        dict(one.sites.most_common()),
        things,
    )


def _key_holders(kernel: Kernel, reach: Reach) -> list[_Kept]:
    """Processes by the keys on their keyrings: ``key_serial_tree`` has all keys, and keeps none."""
    from ..analysis.keepers import reached_from

    heap = reach.graph.scanner.heap
    rings = keyrings(kernel)
    address = np.array([ring.address for ring in rings], np.uint64)
    node = heap.at(address) if len(rings) else np.zeros(0, np.int32)
    if not (node >= 0).any():
        return []
    of_cache = np.zeros(len(reach.graph.nodes), np.bool_)
    keys = _of_cache(heap, int(address[node >= 0][0]))
    of_cache[heap.at(keys)] = True
    pid = np.array([ring.pid for ring in rings], np.int64)[node >= 0]
    ring = reached_from(reach, node[node >= 0], of_cache)
    held = np.flatnonzero(of_cache & (ring >= 0))
    held_by = pid[ring[held]]
    parts = Parts.of(held_by, np.full(len(held), KEY, np.object_), reach.graph.nodes.address[held])
    return _keepers(reach, parts)


def _of_cache(heap: Heap, address: int) -> U64:
    """Addresses of the allocated objects of the slab cache that an address is in."""
    cache = heap.caches_at(np.array([address], np.uint64))[0]
    return heap.objects_of(heap.caches[cache].name) if cache >= 0 else np.zeros(0, np.uint64)


def _neighbors(heap: Heap) -> Neighbors:
    def neighbors(address: int) -> tuple[str, int, U64]:
        at = np.array([address], np.uint64)
        cache, node = int(heap.caches_at(at)[0]), int(heap.at(at)[0])
        if cache < 0 or node < 0:
            return "", 0, np.zeros(0, np.uint64)
        name = heap.caches[cache].name
        return name, address - int(heap.nodes.address[node]), heap.objects_of(name)

    return neighbors


def _watchers(found: Pins, parts: Parts, names: dict[int, str]) -> list[Watcher]:
    """The processes that have the groups of watches open."""
    by_pid = Counter[int]()
    for group, count in found.watched.items():
        rows = np.flatnonzero(parts.address == np.uint64(group))
        if len(rows):
            by_pid[int(parts.pid[rows[0]])] += count
    return [Watcher(pid, names.get(pid, "?"), n) for pid, n in by_pid.most_common(_MOST)]
