# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory control groups: usage, limits, and how often they were hit.

Mirrors ``struct mem_cgroup`` in ``include/linux/memcontrol.h``, ``struct page_counter``, and the
files memory.current, memory.max, memory.events ... of ``mm/memcontrol.c``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from drgn import Object, Program, cast, container_of
from drgn.helpers.linux.cgroup import cgroup_path, css_for_each_descendant_pre

from ...text import printable
from ..walk import ReadErrors

_PAGE = 4096
_PAGE_COUNTER_MAX = ((1 << 63) - 1) // _PAGE
"""No limit."""
_MAX_CGROUPS = 1 << 20
"""A tree with more goes in circles."""


@dataclass(frozen=True)
class MemoryCgroup:
    """A memory cgroup; sizes in bytes, those below it included."""

    path: str
    usage: int
    high: int | None
    """None: no limit; so are the others."""
    max: int | None
    swap: int
    swap_max: int | None
    hits: int
    """Number of times that usage was about to go over the limit: event ``max``."""
    oom: int
    """Number of times that the out-of-memory killer was called for it."""
    oom_kill: int
    """Number of its tasks that the out-of-memory killer killed."""


@dataclass
class MemoryCgroups:
    """All but the root, largest first, as far as could be read."""

    cgroups: list[MemoryCgroup] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def memory_cgroups(prog: Program) -> MemoryCgroups:
    """Read all memory cgroups; those that were removed but still hold memory included."""
    out = MemoryCgroups()
    if not prog.symbols("root_mem_cgroup"):
        return out  # built without CONFIG_MEMCG
    try:
        root = prog["root_mem_cgroup"].read_()
        if not root:
            return out
        for count, css in enumerate(css_for_each_descendant_pre(root.css.address_of_())):
            if count > _MAX_CGROUPS:
                raise ValueError("it goes in circles")
            memcg = container_of(css, "struct mem_cgroup", "css")
            if memcg.value_() != root.value_():
                out.cgroups.append(_memory_cgroup(memcg))
    except ReadErrors as e:
        out.problems.append(f"the tree of memory cgroups is damaged: {e}")
    out.cgroups.sort(key=lambda cgroup: -cgroup.usage)
    return out


def _memory_cgroup(memcg: Object) -> MemoryCgroup:
    def event(name: str) -> int:
        index = memcg.prog_.constant(name).value_()
        return int(cast("long", memcg.memory_events[index].counter).value_())

    return MemoryCgroup(
        path=_path(memcg),
        usage=memcg.memory.usage.counter.value_() * _PAGE,
        high=_limit(memcg.memory.high),
        max=_limit(memcg.memory.max),
        swap=memcg.swap.usage.counter.value_() * _PAGE,
        swap_max=_limit(memcg.swap.max),
        hits=event("MEMCG_MAX"),
        oom=event("MEMCG_OOM"),
        oom_kill=event("MEMCG_OOM_KILL"),
    )


def _limit(pages: Object) -> int | None:
    value = pages.value_()
    return None if value >= _PAGE_COUNTER_MAX else value * _PAGE


def _path(memcg: Object) -> str:
    try:
        return printable(cgroup_path(memcg.css.cgroup))
    except ReadErrors:
        return "?"
