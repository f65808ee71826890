# SPDX-License-Identifier: LGPL-2.1-or-later
"""Slab objects that are free: those on lists and in sheaves.

A reference tells whose an object is; the lists tell whether it is anybody's. An object
without a reference may be in use: on a kernel without profiling all are. Mirrors
``mm/slub.c``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from drgn import Object, Program, ProgramFlags, offsetof
from drgn.helpers.linux.nodemask import for_each_online_node

from ...arrays import U64, Bool, Columns, Int, ranges, sum_by
from ...problems import Code, Problem
from ...source.memory import Memory
from ...text import some
from ..chains import Broken, Chains, Index, list_links
from ..kernel import Kernel
from ..layouts import Barns, CpuSlabs
from ..walk import structure, walk
from .slab import Cache

_MAX_CHAIN = 1 << 16
"""A slab has room for no more objects (``slab->objects`` has 15 bits)."""
_MAX_SHEAVES = 1 << 13
"""A barn keeps some ten of them."""

_IN_USE = "objects in sheaves count as in use"

FREE_LISTS = structure(
    "free lists of slab caches",
    "free list of slabs",
    "free lists of slabs",
    many=True,
    affects="free objects count as in use",
)
_BARNS = structure(
    "the barns of slab caches",
    "barn of a slab cache",
    "barns of slab caches",
    many=True,
    affects=_IN_USE,
)
_CPU_SLABS = structure(
    "CPUs' lists of slabs",
    "list of slabs of a CPU",
    "lists of slabs of CPUs",
    many=True,
)
_SHEAVES = structure(
    "lists of sheaves",
    "list of sheaves",
    "lists of sheaves",
    many=True,
    affects=_IN_USE,
)


def free_objects(
    kernel: Kernel,
    caches: list[Cache],
    cache: Int,
    freelist: U64,
    broken: Broken | None = None,
) -> Iterator[tuple[Int, U64]]:
    """Objects on free lists, in batches: indexes of their caches, and addresses.

    Those of a list that goes in circles come more than once.

    :param cache: index in *caches* of each list's cache, shape (n,)
    :param freelist: the first object of each list, shape (n,)
    :param broken: takes the number of lists that were not readable to their end
    """
    memory, untag = kernel.memory, kernel.arch.untag
    offset = np.array([c.free_pointer for c in caches], np.uint64)
    random = np.array([c.random or 0 for c in caches], np.uint64)
    hardened = np.array([c.random is not None for c in caches], np.bool_)

    def step(rows: Index, at: U64) -> tuple[U64, Bool]:
        # freelist_ptr_decode(): mixed with where it lies, bytes swapped.
        of = cache[rows]
        place = at + offset[of]
        words, ok = memory.words(place)
        mixed = hardened[of] & (words != 0)
        return untag(np.where(mixed, words ^ random[of] ^ place.byteswap(), words)), ok

    chains = Chains(step, _MAX_CHAIN)
    for rows, objects in chains.follow(untag(freelist), np.zeros(len(freelist), np.uint64)):
        yield cache[rows], objects
    if broken is not None:
        broken.chains += chains.broken


def free_but_in_slabs_use(
    kernel: Kernel, caches: list[Cache], found: Sheaves, problems: list[Problem] | None = None
) -> Int:
    """Free objects that their slabs count as in use: on CPUs' lists and in sheaves.

    :param problems: takes what was unreadable
    :return: shape (number of caches,)
    """
    none = np.zeros(0, np.int64), np.zeros(0, np.uint64)
    broken = Broken()
    batches = free_objects(kernel, caches, *cpu_lists(kernel, caches), broken)
    cache, objects = map(np.concatenate, zip(none, *batches, strict=True))
    if problems is not None:
        problems += broken.problems(kernel.prog, FREE_LISTS)
    _, once = np.unique(objects, return_index=True)
    free = np.bincount(cache[once], minlength=len(caches))
    ready = (found.cache >= 0) & ~found.rcu
    return free + sum_by(found.cache[ready], found.size[ready], len(caches))


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


def cpu_slabs(kernel: Kernel, caches: list[Cache], problems: list[Problem] | None = None) -> U64:
    """Addresses of ``struct slab`` that CPUs keep for themselves; none since Linux 7.0.

    /proc/slabinfo counts all of their objects as active, those on the slabs' own lists, too.

    :param problems: takes what was unreadable
    """
    rows = np.array([c.cpu_slab for c in caches if c.cpu_slab], np.uint64)
    if not len(rows):
        return np.zeros(0, np.uint64)
    memory, type_ = kernel.memory, kernel.prog.type("struct kmem_cache_cpu")

    def of_cpus(member: str) -> U64:
        if not type_.has_member(member):
            return np.zeros(0, np.uint64)
        places = rows[:, None] + np.uint64(offsetof(type_, member)) + kernel.cpus.offsets
        return memory.words(places.ravel())[0]

    found = [of_cpus("slab")]
    partial = of_cpus("partial")
    if len(partial):
        following = np.uint64(offsetof(kernel.prog.type("struct slab"), "next"))
        chains = Chains(lambda _, at: memory.words(at + following), _MAX_CHAIN)
        found += [slabs for _, slabs in chains.follow(partial, np.zeros_like(partial))]
        if problems is not None:
            problems += chains.problems(kernel.prog, _CPU_SLABS)
    return np.unique(np.concatenate(found))


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
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def none(cls) -> Sheaves:
        count = np.zeros(0, np.int64)
        return cls(count.astype(np.uint64), count, count, count, count.astype(np.bool_), 0)

    def free_objects(self, kernel: Kernel) -> U64:
        """Addresses of all objects in sheaves that are free."""
        rows = np.flatnonzero(~self.rcu)
        count = self.size[rows]
        index = ranges(count)
        place = np.repeat(self.address[rows], count) + np.uint64(self.objects)
        objects, _ = kernel.memory.words(place + index.astype(np.uint64) * np.uint64(8))
        return kernel.arch.untag(objects)


def sheaves(kernel: Kernel, caches: list[Cache]) -> Sheaves:
    """All sheaves that caches have; none before Linux 6.18."""
    prog, memory, untag = kernel.prog, kernel.memory, kernel.arch.untag
    if kernel.layouts[CpuSlabs] is CpuSlabs.LISTS:
        return Sheaves.none()
    type_ = prog.type("struct slab_sheaf")
    percpu = prog.type("struct slub_percpu_sheaves")
    owners = [i for i, c in enumerate(caches) if c.cpu_sheaves]
    bases = np.array([caches[i].cpu_sheaves for i in owners], np.uint64)
    copies = (bases[:, None] + kernel.cpus.offsets).ravel()
    found: list[U64] = []
    rcu: list[bool] = []
    unreadable = 0
    for member in ("main", "spare", "rcu_free"):
        words, ok = memory.words(copies + np.uint64(offsetof(percpu, member)))
        unreadable += int(np.count_nonzero(~ok))
        found.append(words[words != 0])
        rcu += [member == "rcu_free"] * len(found[-1])
    barns = walk(
        prog, _BARNS, lambda: _places_of_barns(prog, caches), lambda where: _barn(kernel, *where)
    )
    problems = barns.problems
    for batch in _in_barns(memory, barns.found, problems):
        found.append(batch - np.uint64(offsetof(type_, "barn_list")))
        rcu += [False] * len(batch)
    address, first = np.unique(untag(np.concatenate(found)), return_index=True)
    size, ok = memory.u32(address + np.uint64(offsetof(type_, "size")))
    owner, known = memory.words(address + np.uint64(offsetof(type_, "cache")))
    unreadable += int(np.count_nonzero(~(ok & known)))
    if unreadable and not prog.flags & ProgramFlags.IS_LIVE:
        what = some(unreadable, "sheaf of a slab cache", "sheaves of slab caches")
        problems.append(Problem(Code.UNREADABLE, what, "", _IN_USE, unreadable != 1))
    of_caches = untag(np.array([c.address for c in caches], np.uint64))
    numbers = {address: i for i, address in enumerate(of_caches.tolist())}
    cache = np.array([numbers.get(o, -1) for o in untag(owner).tolist()], np.int64)
    capacities = np.array([*(c.sheaf_capacity for c in caches), 0], np.int64)
    capacity = capacities[cache]
    sizes = np.where(ok, np.minimum(size.astype(np.int64), capacity), capacity)
    waits, objects = np.array(rcu, np.bool_)[first], offsetof(type_, "objects")
    return Sheaves(address, cache, sizes, capacity, waits, objects, problems)


def _places_of_barns(prog: Program, caches: list[Cache]) -> Iterator[tuple[int, int]]:
    """Addresses of caches, and numbers of nodes."""
    nodes = list(for_each_online_node(prog))
    for cache in caches:
        if cache.cpu_sheaves:
            yield from ((cache.address, node) for node in nodes)


def _barn(kernel: Kernel, cache: int, node: int) -> int | None:
    """Address of the ``struct node_barn`` of a cache and node; None if it has none."""
    slab_cache = Object(kernel.prog, "struct kmem_cache *", cache)
    variant = kernel.layouts[Barns]
    if variant is Barns.NONE:
        return None
    per_node = variant is Barns.PER_NODE
    owner = slab_cache.per_node[node] if per_node else slab_cache.node[node]
    return owner.barn.value_() or None


def _in_barns(memory: Memory, barns: list[int], problems: list[Problem]) -> Iterator[U64]:
    """List heads in full and in empty sheaves, of all lists at once."""
    type_ = memory.prog.type("struct node_barn")
    heads = np.array(
        [barn + offsetof(type_, n) for barn in barns for n in ("sheaves_full", "sheaves_empty")],
        np.uint64,
    )
    for _, links in list_links(memory, heads, _MAX_SHEAVES, _SHEAVES, problems):
        yield links
