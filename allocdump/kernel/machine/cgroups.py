# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory control groups: usage, limits, and how often they were hit.

Mirrors ``struct mem_cgroup`` in ``include/linux/memcontrol.h``, ``struct page_counter``, and the
files memory.current, memory.max, memory.events ... of ``mm/memcontrol.c``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from drgn import FaultError, Object, Program, cast, container_of
from drgn.helpers.linux.kernfs import kernfs_parent

from ...arch.base import page_size
from ...problems import Problem
from ...text import printable
from ..walk import Cut, ReadErrors, list_entries, structure, walk

_CSS = "struct cgroup_subsys_state"
_TREE = structure("the tree of memory cgroups", "memory cgroup", most=1 << 20)
_PATH = structure("the path of a cgroup", "part of a cgroup's path", "parts of a cgroup's path")


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
    throttled: int = 0
    """Number of times that its tasks were slowed down over *high*: event ``high``."""
    removed: bool = False
    """It was removed, and is there for what is still charged to it, or refers to it."""

    @property
    def at_limit(self) -> bool:
        """True if a limit of its own was hit, hard or soft."""
        hard = self.max is not None and self.hits > 0
        return hard or (self.high is not None and self.throttled > 0)


@dataclass
class MemoryCgroups:
    """All but the root, largest first, as far as could be read."""

    cgroups: list[MemoryCgroup] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def memory_cgroups(prog: Program) -> MemoryCgroups:
    """Read all memory cgroups; those that were removed but still hold memory included."""
    if not prog.symbols("root_mem_cgroup"):
        return MemoryCgroups()  # built without CONFIG_MEMCG
    walked = walk(prog, _TREE, lambda: _below_root(prog), _memory_cgroup)
    walked.found.sort(key=lambda cgroup: -cgroup.usage)
    return MemoryCgroups(walked.found, walked.problems)


def _below_root(prog: Program) -> Iterator[Object | Cut]:
    """Steps through all but the root, parents first, as ``struct mem_cgroup *``.

    As ``css_for_each_descendant_pre()`` in ``include/linux/cgroup.h``.
    """
    root = prog["root_mem_cgroup"].read_()
    lists = [_children(root.css)] if root else []
    seen = {root.css.address_}
    while lists:
        css = next(lists[-1], None)
        if css is None:
            lists.pop()
        elif isinstance(css, Cut):
            yield css
        elif css.value_() in seen:
            yield Cut(ValueError("it goes in circles"))
        else:
            seen.add(css.value_())
            yield container_of(css, "struct mem_cgroup", "css")
            lists.append(_children(css))


def _children(css: Object) -> Iterator[Object | Cut]:
    return list_entries(_CSS, css.children.address_of_(), "sibling")


def _memory_cgroup(memcg: Object) -> MemoryCgroup:
    def event(name: str) -> int:
        index = memcg.prog_.constant(name).value_()
        return int(cast("long", memcg.memory_events[index].counter).value_())

    page = page_size(memcg.prog_).bytes
    return MemoryCgroup(
        path=_path(memcg),
        usage=memcg.memory.usage.counter.value_() * page,
        high=_limit(memcg.memory.high),
        max=_limit(memcg.memory.max),
        swap=memcg.swap.usage.counter.value_() * page,
        swap_max=_limit(memcg.swap.max),
        hits=event("MEMCG_MAX"),
        oom=event("MEMCG_OOM"),
        oom_kill=event("MEMCG_OOM_KILL"),
        throttled=event("MEMCG_HIGH"),
        removed=not is_online(memcg),
    )


def is_online(memcg: Object) -> bool:
    """Tell if a ``struct mem_cgroup *`` was not removed."""
    return bool(memcg.css.flags.value_() & memcg.prog_.constant("CSS_ONLINE").value_())


def _limit(pages: Object) -> int | None:
    """None for no limit: ``PAGE_COUNTER_MAX`` in ``include/linux/page_counter.h``."""
    value, page = pages.value_(), page_size(pages.prog_).bytes
    return None if value >= ((1 << 63) - 1) // page else value * page


def _path(memcg: Object) -> str:
    try:
        return path_of(memcg.css.cgroup)
    except ReadErrors:
        return "?"


def path_of(cgroup: Object) -> str:
    """Path of a ``struct cgroup *``, as ``kernfs_path()`` has it.

    :raises drgn.FaultError: if a part of it is unreadable
    """
    names = walk(
        cgroup.prog_, _PATH, lambda: _upwards(cgroup.kn.read_()), lambda kn: kn.name.string_()
    )
    if names.problems:
        raise FaultError(str(names.problems[0]), cgroup.value_())
    return printable(b"/".join(reversed(names.found)) or b"/")


def _upwards(kn: Object) -> Iterator[Object]:
    """Steps from a ``struct kernfs_node *`` to the root, whose name is empty."""
    while kn:
        yield kn
        kn = kernfs_parent(kn).read_()
