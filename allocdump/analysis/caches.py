# SPDX-License-Identifier: LGPL-2.1-or-later
"""Slab caches: the memory of their slabs, and the part of it in use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .attribution import Attribution

_MOST_NAMES = 2
"""So many more names are told in a sentence."""


@dataclass(frozen=True)
class CacheRow:
    """A slab cache; sizes in bytes."""

    name: str
    slabs: int
    bytes: int
    """Of all its slabs."""
    size: int
    """Distance from one object to the next."""
    object_size: int
    """Size that the user of an object asked for."""
    capacity: int
    """Objects that the slabs have room for."""
    allocated: int
    """Objects in use: on no free list, in no sheaf."""
    cached: int
    """Free objects in sheaves, and on lists and slabs of CPUs: /proc/slabinfo counts them as
    active."""
    untagged: int
    """The part of them without a reference to a site."""
    reclaimable: bool
    merged: tuple[str, ...] = ()
    """Names of other caches that were merged in it: its objects may be theirs."""

    @property
    def called(self) -> str:
        """Its name, and those that may be meant as well."""
        if len(self.merged) > _MOST_NAMES:
            return f"{self.name} or one of {len(self.merged)} merged in it"
        return " or ".join((self.name, *self.merged))

    @property
    def free(self) -> int:
        """Room for objects that is not in use."""
        return self.capacity - self.allocated

    @property
    def lost(self) -> int:
        """Bytes that are neither objects nor room for objects."""
        return self.bytes - self.capacity * self.object_size


def cache_rows(memory: Attribution, names: Iterable[tuple[int, str]] = ()) -> list[CacheRow]:
    """All caches that have slabs, largest first.

    :param names: pairs of the address of a cache and a name of one that was merged in it
    """
    use = memory.slab
    merged: dict[int, list[str]] = {}
    for address, name in names:
        merged.setdefault(address, []).append(name)
    untagged = use.in_use - use.tagged - use.empty - use.stray
    rows = [
        CacheRow(
            name=cache.name,
            slabs=int(use.slabs[i]),
            bytes=int(use.pages[i]) * memory.page.bytes,
            size=cache.size,
            object_size=cache.object_size,
            capacity=int(use.capacity[i]),
            allocated=int(use.in_use[i]),
            cached=int(use.cached[i]),
            untagged=int(untagged[i]),
            reclaimable=cache.reclaimable,
            merged=tuple(sorted(set(merged.get(cache.address, [])) - {cache.name})),
        )
        for i, cache in enumerate(memory.caches)
        if use.pages[i]
    ]
    return sorted(rows, key=lambda row: -row.bytes)
