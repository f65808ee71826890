# SPDX-License-Identifier: LGPL-2.1-or-later
"""The case: all that is known of a dead machine, for the rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..analysis.audit import Audit
from ..analysis.caches import CacheRow
from ..analysis.footprint import Footprint
from ..analysis.fragmentation import Fragmentation
from ..analysis.stacks import StackUse
from ..analysis.usage import Node
from ..analysis.vectors import VectorCycles
from ..analysis.wrappers import Wrappers
from ..arch.base import PageSize
from ..arrays import Int
from ..confidence import Confidence
from ..kernel.bugs import Bug
from ..kernel.machine.cgroups import MemoryCgroup
from ..kernel.machine.death import Death
from ..kernel.machine.inodes import Pins
from ..kernel.machine.memory_counters import Reclaimable
from ..kernel.machine.oom import AllocationFailure, LoggedSite, OomEvent
from ..kernel.machine.open_files import OpenFiles
from ..kernel.machine.swap import Swap
from ..kernel.machine.system import System
from ..kernel.machine.tasks import Task
from ..kernel.machine.tmpfs import Tmpfs
from ..kernel.machine.zones import ZoneState
from ..kernel.mm.allocations import VmallocUse
from ..kernel.tags.roles import Role
from ..kernel.tags.sites import Sites


@dataclass(frozen=True)
class Machine:
    """The machine and its death."""

    core: str
    """Path of the dump, as it was opened."""
    arguments: str
    """Arguments of the command line that open it again: the path, quoted, and options."""
    system: System
    cpus: int
    """Possible ones."""
    reason: str
    """Reason of the kernel's death; empty if it did not die, or its log does not say."""
    uptime: float | None
    """Seconds from boot to the end, or to now."""
    profiling: str
    """``on``, ``off``, ``never`` ...; with the reason if there is no profile."""
    death: Death | None = None
    """The task that panicked; None if none did, or nothing tells."""
    taint: str = ""
    """Flags that are set; empty if there are none."""
    parameters: str = ""
    """Those of the command line that are about memory."""
    crash_kernel: int | None = None
    """Bytes reserved for the crash kernel; None if nothing tells."""
    state: str = "dead"
    """``dead``, ``running`` or ``paused``."""

    @property
    def alive(self) -> bool:
        """True if the kernel goes on, or would: one that panicked does not."""
        return self.state != "dead" and not self.reason


@dataclass(frozen=True)
class LostSite:
    """Memory of a site that nothing points at any more: from the analysis of leaks."""

    site: int
    """Row of the site."""
    lost_bytes: int
    lost_allocations: int
    held_bytes: int
    """Bytes that are still reachable."""
    confidence: Confidence = Confidence.CERTAIN
    """Confidence of the analysis that it is lost."""
    head: int | None = None
    """Row of the site that it is lost with; None if it leads itself."""


@dataclass(frozen=True)
class LargeHolder:
    """A holder that keeps memory alive, from the tree of dominators."""

    name: str
    """``recs``"""
    what: str
    """``leaker .data``, ``task 42 sh``"""
    bytes: int
    allocations: int
    site: int | None = None
    """Row of the site of most of its memory."""


@dataclass(frozen=True)
class Keeper:
    """A process that keeps memory which nothing else does: it would be freed with its open files,
    or with the keys on its keyrings."""

    pid: int
    comm: str
    kinds: dict[str, int]
    """Bytes by kind of file, most first: ``eventpoll``; ``key`` of keyrings."""
    counts: dict[str, int]
    """Number of files, or keys, of each kind."""
    sites: dict[int, int]
    """Bytes by row of the site, most first."""
    things: dict[str, int] = field(default_factory=dict)
    """Bytes by name, of those of its files that have one: BPF maps; most first."""


@dataclass(frozen=True)
class Watcher:
    """A process whose watches keep inodes in memory."""

    pid: int
    comm: str
    inodes: int


@dataclass(frozen=True)
class ZombieMemory:
    """Memory that is still charged to memory cgroups which were removed; bytes."""

    number: int
    """Of these cgroups."""
    kinds: dict[str, int]
    """By kind of page: ``shmem``, ``cache``, ``anonymous``; most first."""
    parents: dict[str, int]
    """By path of the cgroup that they were below; most first."""
    mounts: dict[str, tuple[int, int]]
    """By mount of the files that pages belong to: bytes, and number of files; most first."""
    files: list[tuple[str, int]]
    """Paths of the largest of these files, as far as they have one, and what they have."""

    @property
    def bytes(self) -> int:
        """All of it."""
        return sum(self.kinds.values())


@dataclass(frozen=True)
class StackEvidence:
    """Memory by the stacks that allocated it."""

    use: StackUse
    cache: npt.NDArray[np.object_]
    """Name of the slab cache of each row of *use*; empty for pages."""
    frames: Callable[[int], list[str]]
    """Frames of a stack by its code, from the call site outwards; none if it is unreadable."""


@dataclass
class Evidence:
    """The case of one dead machine. None, or an empty list, is unknown; ``missing`` says why."""

    machine: Machine
    sites: Sites
    """Empty without a profile."""
    page: PageSize
    """Of which zones count."""
    origins: Sites | None = None
    """The same, and other origins behind them; None where memory is not told apart."""
    events: list[OomEvent] = field(default_factory=list)
    failures: list[AllocationFailure] = field(default_factory=list)
    usage: Node | None = None
    zones: list[ZoneState] = field(default_factory=list)
    swap: Swap | None = None
    reclaimable: Reclaimable | None = None
    footprint: Footprint | None = None
    wrappers: Wrappers | None = None
    """Signs of sites that allocate for others."""
    audit: Audit | None = None
    bugs: frozenset[Bug] = frozenset()
    """Known bugs that the kernel has, or what saved it."""
    cycles: VectorCycles | None = None
    tasks: list[Task] = field(default_factory=list)
    cgroups: list[MemoryCgroup] = field(default_factory=list)
    caches: list[CacheRow] = field(default_factory=list)
    areas: list[VmallocUse] = field(default_factory=list)
    zombies: ZombieMemory | None = None
    """None if there is none, or nothing tells."""
    tmpfs: list[Tmpfs] = field(default_factory=list)
    files: list[OpenFiles] = field(default_factory=list)
    """Of each process, most memory first."""
    kept: list[Keeper] = field(default_factory=list)
    """By open files, most memory first."""
    keys: list[Keeper] = field(default_factory=list)
    """By keys on keyrings, most memory first."""
    pins: Pins | None = None
    """Inodes and dentries that cannot be given back."""
    watchers: list[Watcher] = field(default_factory=list)
    """Most inodes first."""
    fragments: Fragmentation | None = None
    """Pieces of the order that could not be had; None where single pages were wanted."""
    lost: list[LostSite] | None = None
    holders: list[LargeHolder] | None = None
    stacks: StackEvidence | None = None
    """None where the kernel kept no stacks."""
    missing: list[str] = field(default_factory=list)
    log_is_whole: bool = True
    """False if parts of the kernel log, or all of it, are unreadable: it may not tell of the
    death, or of a shortage."""
    gaps: list[str] = field(default_factory=list)
    """Those of *missing* that may hide the cause itself, in few words."""

    @cached_property
    def managed(self) -> int:
        """Bytes that the kernel could hand out, without those that boot kept."""
        pages = sum(zone.managed for zone in self.zones)
        if pages or self.usage is None:
            return pages * self.page.bytes
        return self.usage.bytes - self.class_bytes("boot")

    @cached_property
    def free(self) -> int:
        """Bytes free in all zones, by the kernel's counters."""
        return sum(zone.free for zone in self.zones) * self.page.bytes

    @property
    def last_event(self) -> OomEvent | None:
        return self.events[-1] if self.events else None

    @property
    def fatal_event(self) -> OomEvent | None:
        """The out-of-memory event that the machine died of."""
        return self.events[-1] if self.events and self.events[-1].fatal else None

    def share(self, size: int) -> float:
        """Part of the managed memory, 0 to 1."""
        return size / self.managed if self.managed else 0.0

    def class_bytes(self, *names: str) -> int:
        """Bytes of some classes of usage."""
        if self.usage is None:
            return 0
        return sum(node.bytes for node in self.usage.children if node.name in names)

    def in_use(self, cache: str) -> float:
        """Part of a slab cache's objects that cannot be given back, 0 to 1, as far as is known."""
        pinned, of = (self.pins.pinned if self.pins else {}).get(cache, (0, 0))
        return pinned / of if of else 0.0

    def site_name(self, row: int) -> str:
        """``leaker.c:44 leaker_get_page [leaker]``"""
        return self.names.label(row)

    def place(self, row: int) -> str:
        """``leaker.c:44``"""
        return self.names.place(row)

    @property
    def names(self) -> Sites:
        """The names of all rows."""
        return self.sites if self.origins is None else self.origins

    def find(self, logged: LoggedSite) -> int | None:
        """Row of a site that the kernel logged."""
        return self._rows.get((logged.file, logged.line, logged.function, logged.module))

    @cached_property
    def _rows(self) -> dict[tuple[str, int, str, str], int]:
        s = self.sites
        names = zip(s.file, s.line.tolist(), s.function, s.module, strict=True)
        return {name: row for row, name in enumerate(names)}

    @cached_property
    def suspicious(self) -> Int:
        """Bytes that each site keeps for the kernel, without sites that work for others.

        The pages of slabs and of per-CPU chunks have been given to their users, and the cost of
        profiling itself is known.
        """
        if self.footprint is None:
            return np.zeros(len(self.sites), np.int64)
        known = ~np.isin(self.sites.role, [Role.NONE, Role.STACK])
        return np.where(known, 0, self.footprint.kernel)
