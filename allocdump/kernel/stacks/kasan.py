# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tracks that KASAN keeps of slab objects: who allocated, and freed, each of them last.

Mirrors ``struct kasan_alloc_meta`` and ``struct kasan_free_meta`` in ``mm/kasan/kasan.h``, and
``mm/kasan/generic.c``: with CONFIG_KASAN_GENERIC they lie behind each object, or in a freed one.
What was freed waits in a quarantine, where the allocator takes it to be in use: only shadow
memory tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from drgn import Object, Program, offsetof

from ...arrays import I32, U32, U64, Bool, Columns, Int
from ..kernel import Kernel
from ..mm.slab import Cache

_NO_FREE_META = 0x7FFF_FFFF
"""INT_MAX"""
_FREED, _FREED_WITH_META = np.uint64(0xFB), np.uint64(0xFA)
"""``KASAN_SLAB_FREE`` and ``KASAN_SLAB_FREE_META``: of the first 8 bytes of an object."""
_CPU_BITS, _TIME_UNIT = np.uint64(20), np.uint64(9)
"""``struct kasan_track`` keeps a CPU, and nanoseconds by powers of two, in one word."""


def keeps_tracks(prog: Program) -> bool:
    """Tell if a kernel was built to keep these."""
    try:
        prog.type("struct kasan_alloc_meta")
    except LookupError:
        return False
    return bool(prog.type("struct kmem_cache").has_member("kasan_info"))


@dataclass
class KasanTracks(Columns):
    """Tracks of some objects; columns of shape (number of objects,)."""

    known: Bool
    """Marks objects that have one."""
    handle: U32
    """Its stack; 0 if none was kept."""
    pid: Int
    cpu: Int
    """-1 without CONFIG_KASAN_EXTRA_INFO."""
    time: U64
    """Nanoseconds since boot; 0 without CONFIG_KASAN_EXTRA_INFO."""


class KasanReader:
    """Reads the tracks of objects.

    :param caches: all slab caches
    :raises LookupError: if the kernel's types lack what this needs
    """

    def __init__(self, kernel: Kernel, caches: list[Cache]) -> None:
        prog = kernel.prog
        # Holes here are told as problems, not as holes in what describes memory.
        self._memory = kernel.counting_holes().memory
        self._shadow = np.uint64(kernel.arch.kasan_shadow)
        track = prog.type("struct kasan_track")
        self._stack, self._pid = (np.uint64(offsetof(track, name)) for name in ("stack", "pid"))
        self._extra: np.uint64 | None = None
        if track.has_member("timestamp"):
            self._extra = np.uint64(track.member("cpu").bit_offset // 8)
        allocated = offsetof(prog.type("struct kasan_alloc_meta"), "alloc_track")
        freed = offsetof(prog.type("struct kasan_free_meta"), "free_track")
        at = [_offsets(prog, cache) for cache in caches]
        # One more, so that index -1, no known cache, has none.
        self._allocated = np.array([*(a and a + allocated for a, _ in at), 0], np.int64)
        self._freed = np.array([*(-1 if f < 0 else f + freed for _, f in at), -1], np.int64)

    def __bool__(self) -> bool:
        """Tell if any cache has tracks."""
        return bool(self._allocated.any())

    def tracks(self, address: U64, cache: I32, *, freed: bool = False) -> KasanTracks:
        """The tracks of objects.

        :param cache: index of the cache of each; -1 if it is not known
        :param freed: of who freed those that are free, instead of who allocated them
        """
        if freed:
            at = self._freed[cache]
            there = (at >= 0) & (self._first_shadow(address) == _FREED_WITH_META)
        else:
            at = self._allocated[cache]
            there = at > 0
        place = np.where(there, address + at.astype(np.uint64), 0).astype(np.uint64)
        handle, pid = (self._memory.u32(place + part)[0] for part in (self._stack, self._pid))
        known = there & (handle != 0)
        cpu, time = np.full(len(address), -1, np.int64), np.zeros(len(address), np.uint64)
        if self._extra is not None:
            low, high = (
                self._memory.u32(place + self._extra + np.uint64(part))[0].astype(np.uint64)
                for part in (0, 4)
            )
            word = low | high << np.uint64(32)
            cpu = (word & np.uint64((1 << int(_CPU_BITS)) - 1)).astype(np.int64)
            time = word >> _CPU_BITS << _TIME_UNIT
        return KasanTracks(
            known,
            np.where(known, handle, 0).astype(np.uint32),
            np.where(known, pid, -1).astype(np.int64),
            np.where(known, cpu, -1).astype(np.int64),
            np.where(known, time, 0).astype(np.uint64),
        )

    def handles(self, address: U64, cache: I32) -> U32:
        """The stacks that allocated objects; 0 where none was kept."""
        return self.tracks(address, cache).handle

    def is_freed(self, address: U64) -> Bool:
        """Mark objects that were freed: some wait in the quarantine."""
        shadow = self._first_shadow(address)
        return np.asarray((shadow == _FREED) | (shadow == _FREED_WITH_META))

    def _first_shadow(self, address: U64) -> U64:
        """The byte that tells of the first 8 bytes of objects; 0, all is well, if unreadable."""
        place = (address >> np.uint64(3)) + self._shadow
        words, _ = self._memory.words(place & ~np.uint64(7))
        return words >> ((place & np.uint64(7)) << np.uint64(3)) & np.uint64(0xFF)


def _offsets(prog: Program, cache: Cache) -> tuple[int, int]:
    """Offsets in an object of both: 0 without the first, -1 without the second."""
    info = Object(prog, "struct kmem_cache *", cache.address).kasan_info
    allocated = info.alloc_meta_offset.value_()
    freed = info.free_meta_offset.value_()
    # Offset 0 is that of the other one, too, in caches without any.
    return allocated, freed if allocated and freed != _NO_FREE_META else -1
