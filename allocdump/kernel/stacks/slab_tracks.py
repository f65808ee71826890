# SPDX-License-Identifier: LGPL-2.1-or-later
"""User tracking of slab objects: who allocated, and freed, each object last.

Mirrors ``struct track`` and ``get_track()`` in ``mm/slub.c``. With the boot parameter
``slub_debug=U`` two of them lie behind each object of a cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...arrays import I32, U32, U64, Bool, Columns, Int
from ...source.dtypes import dtype_of
from ..kernel import Kernel
from ..mm.slab import Cache

_MEMBERS = {"address": "addr", "handle": "handle", "cpu": "cpu", "pid": "pid", "time": "when"}


@dataclass
class Tracks(Columns):
    """Tracks of some objects; columns of shape (number of objects,)."""

    known: Bool
    """Marks objects that were allocated, or freed, since they were made."""
    address: U64
    """Address in the code that asked for it, or gave it back."""
    handle: U32
    """Its stack; 0 if none was kept."""
    cpu: Int
    pid: Int
    time: U64
    """In ticks of the kernel's clock (jiffies)."""


class TrackReader:
    """Reads the tracks of objects.

    :param caches: all slab caches
    :raises LookupError: if the kernel's types lack what this needs
    """

    def __init__(self, kernel: Kernel, caches: list[Cache]) -> None:
        track = kernel.prog.type("struct track")
        # Holes here are told as problems, not as holes in what describes memory.
        self.memory = kernel.counting_holes().memory
        members = {name: member for name, member in _MEMBERS.items() if track.has_member(member)}
        self._dtype = dtype_of(track, members)
        # One more, so that index -1, no known cache, has none.
        self._at = np.array([*(cache.track for cache in caches), 0], np.int64)

    def tracks(self, address: U64, cache: I32, *, freed: bool = False) -> Tracks:
        """The tracks of objects.

        :param cache: index of the cache of each; -1 if it is not known
        :param freed: of who freed them, instead of who allocated them
        """
        place, there = self._places(address, cache)
        if freed:
            place += np.uint64(self._dtype.itemsize)
        raw, readable = self.memory.records(place, self._dtype)
        known = there & readable & (raw["address"] != 0)
        names = self._dtype.names or ()
        none = np.zeros(len(address), np.int64)
        column = {
            name: np.where(known, raw[name] if name in names else none, 0) for name in _MEMBERS
        }
        return Tracks(
            known,
            column["address"].astype(np.uint64),
            column["handle"].astype(np.uint32),
            column["cpu"].astype(np.int64),
            column["pid"].astype(np.int64),
            column["time"].astype(np.uint64),
        )

    def handles(self, address: U64, cache: I32) -> U32:
        """The stacks that allocated objects; 0 where none was kept."""
        fields = self._dtype.fields
        assert fields
        if "handle" not in fields:
            return np.zeros(len(address), np.uint32)
        place, there = self._places(address, cache)
        out = np.zeros(len(address), np.uint32)
        out[there], _ = self.memory.u32(place[there] + np.uint64(fields["handle"][1]))
        return out

    def _places(self, address: U64, cache: I32) -> tuple[U64, Bool]:
        """Addresses of the tracks of allocations, and whether there are any."""
        at = self._at[cache]
        return address + at.astype(np.uint64), at > 0
