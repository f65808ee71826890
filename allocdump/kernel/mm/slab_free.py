# SPDX-License-Identifier: LGPL-2.1-or-later
"""Slab objects that are free: those on lists and in sheaves.

A reference tells whose an object is; the lists tell whether it is anybody's. An object
without a reference may be in use: on a kernel without profiling all are. Mirrors
``mm/slub.c``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from drgn import Object, offsetof
from drgn.helpers.linux.nodemask import for_each_online_node

from ...arrays import Columns
from ...source.memory import U64, Memory
from ..kernel import Kernel
from ..layouts import Barns, CpuSlabs
from ..walk import ReadErrors
from .slab import Cache

_MAX_CHAIN = 1 << 16
"""A slab has room for no more objects (``slab->objects`` has 15 bits)."""
_MAX_SHEAVES = 1 << 12
"""A barn keeps some ten of them."""

Int = npt.NDArray[np.int64]


def free_objects(
    memory: Memory, caches: list[Cache], cache: Int, freelist: U64
) -> Iterator[tuple[Int, U64]]:
    """Objects on free lists, in batches: indexes of their caches, and addresses.

    :param cache: index in *caches* of each list's cache, shape (n,)
    :param freelist: the first object of each list, shape (n,)
    """
    offset = np.array([c.free_pointer for c in caches], np.uint64)
    random = np.array([c.random or 0 for c in caches], np.uint64)
    hardened = np.array([c.random is not None for c in caches], np.bool_)
    for _ in range(_MAX_CHAIN):
        live = freelist != 0
        cache, freelist = cache[live], freelist[live]
        if not len(freelist):
            return
        yield cache, freelist
        # freelist_ptr_decode(): mixed with where it lies, bytes swapped.
        place = freelist + offset[cache]
        words, _ = memory.words(place)
        freelist = np.where(
            hardened[cache] & (words != 0), words ^ random[cache] ^ place.byteswap(), words
        )


def free_but_in_slabs_use(kernel: Kernel, caches: list[Cache], found: Sheaves) -> Int:
    """Free objects that their slabs count as in use: on CPUs' lists and in sheaves.

    :return: shape (number of caches,)
    """
    free = np.zeros(len(caches), np.int64)
    for cache, _ in free_objects(kernel.memory, caches, *cpu_lists(kernel, caches)):
        free += np.bincount(cache, minlength=len(caches))
    ready = (found.cache >= 0) & ~found.rcu
    return free + np.bincount(found.cache[ready], found.size[ready], len(caches)).astype(np.int64)


def cpu_lists(kernel: Kernel, caches: list[Cache]) -> tuple[Int, U64]:
    """Each CPU's own free list of each cache: cache and first object; until Linux 6.19."""
    rows = [i for i, c in enumerate(caches) if c.cpu_slab]
    if not rows:
        return np.zeros(0, np.int64), np.zeros(0, np.uint64)
    offset = offsetof(kernel.prog.type("struct kmem_cache_cpu"), "freelist")
    pointers = np.array([caches[i].cpu_slab + offset for i in rows], np.uint64)
    copies = kernel.cpus.offsets
    words, _ = kernel.memory.words((pointers[:, None] + copies).ravel())
    return np.repeat(np.array(rows, np.int64), len(copies)), words


@dataclass
class Sheaves(Columns):
    """Arrays of objects (``struct slab_sheaf``); columns of shape (number of sheaves,)."""

    address: U64
    cache: Int
    """Index of its cache; -1 if that is not known."""
    size: Int
    """Objects in it."""
    capacity: Int
    """Objects that it has room for."""
    rcu: npt.NDArray[np.bool_]
    """Its objects wait for a grace period: they are not free yet."""
    objects: int
    """Offset of the array."""

    @classmethod
    def none(cls) -> Sheaves:
        count = np.zeros(0, np.int64)
        return cls(count.astype(np.uint64), count, count, count, count.astype(np.bool_), 0)

    def free_objects(self, memory: Memory) -> U64:
        """Addresses of all objects in sheaves that are free."""
        rows = np.flatnonzero(~self.rcu)
        count = self.size[rows]
        index = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        place = np.repeat(self.address[rows], count) + np.uint64(self.objects)
        return memory.words(place + index.astype(np.uint64) * np.uint64(8))[0]


def sheaves(kernel: Kernel, caches: list[Cache]) -> Sheaves:
    """All sheaves that caches have; none before Linux 6.18."""
    prog, memory = kernel.prog, kernel.memory
    if kernel.layouts[CpuSlabs] is CpuSlabs.LISTS:
        return Sheaves.none()
    type_ = prog.type("struct slab_sheaf")
    percpu = prog.type("struct slub_percpu_sheaves")
    owners = [i for i, c in enumerate(caches) if c.cpu_sheaves]
    bases = np.array([caches[i].cpu_sheaves for i in owners], np.uint64)
    copies = (bases[:, None] + kernel.cpus.offsets).ravel()
    found: list[U64] = []
    rcu: list[bool] = []
    for member in ("main", "spare", "rcu_free"):
        words, _ = memory.words(copies + np.uint64(offsetof(percpu, member)))
        found.append(words[words != 0])
        rcu += [member == "rcu_free"] * len(found[-1])
    for batch in _in_barns(memory, _barns(kernel, caches)):
        found.append(batch - np.uint64(offsetof(type_, "barn_list")))
        rcu += [False] * len(batch)
    address, first = np.unique(np.concatenate(found), return_index=True)
    at = np.uint64(offsetof(type_, "size"))
    words, ok = memory.words((address + at) & ~np.uint64(7))
    size = ((words >> (at % np.uint64(8) * np.uint64(8))) & np.uint64(0xFFFF_FFFF)).astype(np.int64)
    owner, _ = memory.words(address + np.uint64(offsetof(type_, "cache")))
    numbers = {c.address: i for i, c in enumerate(caches)}
    cache = np.array([numbers.get(o, -1) for o in owner.tolist()], np.int64)
    capacities = np.array([*(c.sheaf_capacity for c in caches), 0], np.int64)
    capacity = capacities[cache]
    size = np.where(ok, np.minimum(size, capacity), capacity)
    return Sheaves(
        address, cache, size, capacity, np.array(rcu, np.bool_)[first], offsetof(type_, "objects")
    )


def _barns(kernel: Kernel, caches: list[Cache]) -> U64:
    """Heads of each cache's and node's lists of full and of empty sheaves."""
    prog, type_ = kernel.prog, kernel.prog.type("struct node_barn")
    per_node = kernel.layouts[Barns] is Barns.PER_NODE
    heads = []
    nodes = list(for_each_online_node(prog))
    for cache in caches:
        if not cache.cpu_sheaves:
            continue
        slab_cache = Object(prog, "struct kmem_cache *", cache.address)
        for node in nodes:
            try:
                owner = slab_cache.per_node[node] if per_node else slab_cache.node[node]
                barn = owner.barn.value_()
            except ReadErrors:
                continue
            if barn:
                heads += [barn + offsetof(type_, n) for n in ("sheaves_full", "sheaves_empty")]
    return np.array(heads, np.uint64)


def _in_barns(memory: Memory, heads: U64) -> Iterator[U64]:
    """List heads in sheaves, of all lists at once."""
    at = heads
    for _ in range(_MAX_SHEAVES):
        at, ok = memory.words(at)
        live = ok & (at != heads) & (at != 0)
        at, heads = at[live], heads[live]
        if not len(at):
            return
        yield at
