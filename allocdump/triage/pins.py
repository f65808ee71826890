# SPDX-License-Identifier: LGPL-2.1-or-later
"""Inodes and dentries that are in use, in sentences: what shrinks on demand, but not now."""

from __future__ import annotations

from collections.abc import Iterable

from ..sentence import Sentence, say
from .evidence import Evidence
from .thresholds import MOST


def pinned_bytes(case: Evidence) -> int:
    """Bytes of slab caches that can shrink, whose objects cannot be given back."""
    return sum(
        int(cache.bytes * case.in_use(cache.name)) for cache in case.caches if cache.reclaimable
    )


def in_use(case: Evidence, caches: Iterable[str]) -> list[Sentence]:
    """Numbers of objects of some caches that cannot be given back, and the watchers of inodes."""
    pinned = case.pins.pinned if case.pins else {}
    out = [
        say(
            "{busy:count} of {n:count object} of {name} cannot be given back: somebody uses them",
            busy=pinned[name][0],
            n=pinned[name][1],
            name=name,
        )
        for name in caches
        if case.in_use(name) >= MOST
    ]
    return [*out, *watched(case)] if out else []


def watched(case: Evidence) -> list[Sentence]:
    """The process that watches most inodes, if that is most of all inodes.

    Files of a tmpfs stay in memory whether they are watched or not.
    """
    first = case.watchers[0] if case.watchers else None
    if first is None or case.pins is None or first.inodes < MOST * case.pins.inodes:
        return []
    template = "task {comm} (pid {pid:number}) watches {n:count} of all {all:count inode}"
    if case.pins.only_watched < MOST * first.inodes:
        template += ", which something else keeps as well"
    return [
        say(
            template,
            comm=first.comm,
            pid=first.pid,
            n=first.inodes,
            all=case.pins.inodes,
        )
    ]
