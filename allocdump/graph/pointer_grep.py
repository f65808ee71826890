# SPDX-License-Identifier: LGPL-2.1-or-later
"""All words in memory that point into some targets, as ``::kgrep`` of mdb finds them.

Each page frame that is in use is looked at once, in the direct map: so it does not matter in how
many places it is mapped. Free pages are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from ..arrays import I32, U64, Bool, Columns, Int
from ..kernel.machine.tasks import every_task
from ..kernel.mm.boot_memory import SYSTEM_RAM
from ..kernel.mm.page_types import PageKind
from ..kernel.mm.pagemap import PageMap, Part
from ..kernel.mm.pages import Frames
from ..kernel.tags.references import NONE
from ..kernel.walk import is_damage
from ..text import printable, some
from .build import NOT_SCANNED
from .kernel_code import instructions
from .scan import runs_of
from .targets import Range, Target, Way
from .task_roots import registers_of

USERS = (PageKind.ANONYMOUS, PageKind.CACHE, PageKind.SHMEM, PageKind.HUGETLB)
"""Pages whose contents are those of user space, which dumps often leave out."""
_TRIED = 1 << 10
"""Pages of one kind that are tried before it is clear that all were left out."""
_FEW = 32
_MOST = 1 << 20
"""Places that are kept; more are counted."""
_RUN = 2 << 20
"""Bytes that are read together."""


class Where(IntEnum):
    """Kinds of places that words are in."""

    MEMORY = 0
    STRUCT_PAGE = 1
    CODE = 2
    """Operand of an instruction."""


@dataclass
class Hits(Columns):
    """Words that point into a target; columns of shape (number of words,)."""

    place: U64
    """Address of the word: in the direct map, or of a struct page, or of an instruction."""
    word: U64
    target: I32
    """Number of the target."""
    range: I32
    """Number of the target's range that the word is in."""
    where: npt.NDArray[np.uint8]
    """A :class:`Where`."""
    kind: npt.NDArray[np.uint8]
    """The :class:`PageKind` of the page that the word is in, or that a struct page is of."""
    cache: I32
    """Index of the slab cache that it is in; -1 elsewhere."""
    object: U64
    """Address of the slab object that it is in."""
    free: Bool
    """It is in a free object."""

    @classmethod
    def none(cls) -> Hits:
        """No hits at all."""
        words, numbers = np.zeros(0, np.uint64), np.zeros(0, np.int32)
        kinds, no = np.zeros(0, np.uint8), np.zeros(0, np.bool_)
        return cls(words, words, numbers, numbers, kinds, kinds, numbers, words, no)


@dataclass(frozen=True)
class Register:
    """A register of a task that was on a CPU, and points into a target."""

    task: str
    name: str
    word: int
    target: int
    range: int


@dataclass
class Searched:
    """Memory that was not looked at."""

    missing: int = 0
    """Pages of the kernel that are not in the dump."""
    users: int = 0
    """Pages of user space that are not in the dump."""
    problems: list[str] = field(default_factory=list)

    def in_words(self) -> list[str]:
        """Memory that was not looked at, in words."""
        parts = [
            (self.missing, "of the kernel's memory"),
            (self.users, "of user space's memory"),
        ]
        pages = [f"{some(n, 'page', 'pages')} {what}, not in the dump" for n, what in parts if n]
        return pages + self.problems


class PointerGrep:
    """Visits a page map, and collects the words that point into *targets*."""

    def __init__(self, pagemap: PageMap, targets: list[Target]) -> None:
        self.pagemap, self.kernel = pagemap, pagemap.kernel.counting_holes()
        self.memory, self.targets = self.kernel.memory, targets
        self.direct_map = pagemap.kernel.direct_map
        self._ranges = [
            (number, i, found)
            for number, target in enumerate(targets)
            for i, found in enumerate(target.ranges)
        ]
        entries = [found for *_, found in self._ranges if found.way is Way.ENTRY]
        others = [found for *_, found in self._ranges if found.way is not Way.ENTRY]
        self._words, self._entries = _Union.of(others), _Union.of(entries)
        self._tables, self._page = self.kernel.arch.tables, self.kernel.page
        self._longest = _RUN // self._page.bytes
        self._parts: list[Hits] = [Hits.none()]
        self.counts = np.zeros(len(targets), np.int64)
        """Words that point into each target: shape (targets,)."""
        self._kept = 0
        self._tried = dict.fromkeys(USERS, 0)
        self._readable = dict.fromkeys(USERS, 0)
        self.registers: list[Register] = []
        self.searched = Searched()

    def hits(self) -> Hits:
        """All that were found, up to a million."""
        return Hits.concatenate(self._parts)

    # Memory

    def part(self, part: Part) -> None:
        """Look at one part, and at its struct pages."""
        frames = part.frames
        kind = frames.kind.copy()
        kind[(kind == PageKind.IN_USE) & self.pagemap.frames.of_users(frames.raw["flags"])] = (
            PageKind.CACHE
        )
        away = (PageKind.UNREADABLE, PageKind.OFFLINE, PageKind.POISONED)
        used = ~frames.is_free & ~np.isin(kind, away)
        wanted = used & ~self._elsewhere(frames)
        users = np.isin(kind, USERS)
        for start, stop in runs_of(wanted & ~users, self._longest):
            self.searched.missing += self._look_at(part, kind, start, stop)
        for user in USERS:
            for start, stop in runs_of(wanted & (kind == user), self._longest):
                self._look_at_users(part, kind, start, stop)
        self._look_at_struct_pages(frames, kind, used)

    def _elsewhere(self, frames: Frames) -> Bool:
        """Reserved pages that are looked at in another way, or are no memory."""
        out = frames.kind == PageKind.RESERVED
        first, ram = frames.section.pfn, np.zeros(len(out), np.bool_)
        skip = np.zeros(len(out), np.bool_)
        for span in self.pagemap.boot_memory.spans:
            low, high = (min(max(0, at - first), len(out)) for at in (span.start, span.end))
            if span.label == SYSTEM_RAM:
                ram[low:high] = True
            elif span.label in NOT_SCANNED:
                skip[low:high] = True
        return np.asarray(out & (~ram | skip))

    def _look_at(self, part: Part, kind: npt.NDArray[np.uint8], start: int, stop: int) -> int:
        """Look at some pages; return how many are not in the dump."""
        base = self.direct_map + ((part.frames.section.pfn + start) << self._page.shift)
        data, ok = self.memory.read(base, (stop - start) * self._page.bytes)
        words: U64 = data.view(np.uint64)
        at = self._words.inside(words)
        self._add(part, kind, Where.MEMORY, base, words, at)
        tables = kind[start:stop] == PageKind.PAGE_TABLE
        if self._entries and tables.any():
            rows = np.flatnonzero(np.repeat(tables, self._page.bytes // 8))
            leads = self._tables.present(words[rows])
            entries = np.where(leads, self._tables.physical(words[rows]), np.uint64(0))
            hit = self._entries.inside(entries)
            self._add(part, kind, Where.MEMORY, base, words, rows[hit], entries[hit])
        return int(np.count_nonzero(~ok[:: self._page.bytes]))

    def _look_at_users(
        self, part: Part, kind: npt.NDArray[np.uint8], start: int, stop: int
    ) -> None:
        user, pages = PageKind(int(kind[start])), stop - start
        if self._tried[user] >= _TRIED and not self._readable[user]:
            self.searched.users += pages
            return
        missing = self._look_at(part, kind, start, stop)
        self._tried[user] += pages
        self._readable[user] += pages - missing
        self.searched.users += missing

    def _look_at_struct_pages(
        self, frames: Frames, kind: npt.NDArray[np.uint8], used: Bool
    ) -> None:
        size = self.pagemap.frames.page_size
        for start, stop in runs_of(used, 4 << 10):
            base = frames.section.memmap + start * size
            data, _ = self.memory.read(base, (stop - start) * size)
            words: U64 = data.view(np.uint64)
            at = self._words.inside(words)
            if len(at):
                of = kind[start + at * 8 // size]
                self._keep(Where.STRUCT_PAGE, np.uint64(base) + _bytes(at), words[at], of)

    def _add(
        self,
        part: Part,
        kind: npt.NDArray[np.uint8],
        where: Where,
        base: int,
        words: U64,
        at: Int,
        entries: U64 | None = None,
    ) -> None:
        """Keep words of some memory.

        :param at: their indexes among *words*, which begin at *base*
        :param entries: physical addresses in them, if they are entries of page tables
        """
        if not len(at):
            return
        place = np.uint64(base) + _bytes(at)
        pfn = ((place - np.uint64(self.direct_map)) >> np.uint64(self._page.shift)).view(np.int64)
        index = pfn - part.frames.section.pfn
        self._keep(where, place, words[at], kind[index], entries, part, index)

    def _keep(
        self,
        where: Where,
        place: U64,
        words: U64,
        kind: npt.NDArray[np.uint8],
        entries: U64 | None = None,
        part: Part | None = None,
        index: Int | None = None,
    ) -> None:
        for number, i, found in self._ranges:
            if (found.way is Way.ENTRY) != (entries is not None):
                continue
            rows = np.flatnonzero(found.holds(words if entries is None else entries))
            self.counts[number] += len(rows)
            rows = rows[: max(0, _MOST - self._kept)]
            if not len(rows):
                continue
            self._kept += len(rows)
            count = len(rows)
            hits = Hits(
                place[rows],
                words[rows],
                np.full(count, number, np.int32),
                np.full(count, i, np.int32),
                np.full(count, where, np.uint8),
                kind[rows],
                np.full(count, -1, np.int32),
                np.zeros(count, np.uint64),
                np.zeros(count, np.bool_),
            )
            if part is not None and index is not None:
                _mark_objects(part, hits, index[rows], self.pagemap)
            self._parts.append(hits)

    # Elsewhere

    def code(self) -> None:
        """Look at the operands of the kernel's instructions."""
        for place, words, missing in instructions(self.kernel):
            at = self._words.inside(words)
            kind = np.full(len(at), PageKind.RESERVED, np.uint8)
            if len(at):
                self._keep(Where.CODE, place[at], words[at], kind)
            self.searched.missing += missing

    def tasks(self) -> None:
        """Look at the registers of tasks that were on a CPU."""
        tasks = every_task(self.kernel.prog)
        self.searched.problems += map(str, tasks.problems)
        for task in tasks:
            try:
                found = registers_of(task) or {}
                if found:
                    name = f"{printable(task.comm.string_())} [{task.pid.value_()}]"
                    self.registers += self._registers(name, found)
            except Exception as e:
                if not is_damage(e):
                    raise

    def _registers(self, task: str, registers: dict[str, int]) -> Iterator[Register]:
        for name, word in registers.items():
            for number, i, found in self._ranges:
                if found.way not in (Way.ENTRY, Way.PHYSICAL) and found.start <= word < found.end:
                    self.counts[number] += 1
                    yield Register(task, name, word, number, i)


def _mark_objects(part: Part, hits: Hits, index: Int, pagemap: PageMap) -> None:
    """Say of hits which slab object they are in, and whether it is free.

    :param index: of their pages in the part
    """
    slabs = part.slabs
    head = part.frames.section.pfn + part.frames.head[index].astype(np.int64)
    row = np.searchsorted(slabs.pfn, head)
    hit = np.flatnonzero(row < len(slabs))
    hit = hit[(slabs.pfn[row[hit]] == head[hit]) & (slabs.cache[row[hit]] >= 0)]
    if not len(hit):
        return
    row = row[hit]
    cache = slabs.cache[row]
    first = pagemap.slabs.object_address(slabs, row, np.zeros(len(row), np.int64))
    size = np.maximum(pagemap.slabs.sizes[cache], 1)
    number = (hits.place[hit] - first).view(np.int64) // size
    inside = (number >= 0) & (number < slabs.objects[row])
    hit, row, number, cache = hit[inside], row[inside], number[inside], cache[inside]
    if not len(hit):
        return
    hits.cache[hit] = cache
    hits.object[hit] = pagemap.slabs.object_address(slabs, row, number)
    of = np.unique(row)
    objects = part.objects_of(of)
    begins = np.cumsum(slabs.objects[of]) - slabs.objects[of]
    at = begins[np.searchsorted(of, row)] + number
    hits.free[hit] = (objects.site[at] == NONE) & objects.readable[at]


def _bytes(index: Int) -> U64:
    return index.astype(np.uint64) * np.uint64(8)


@dataclass(frozen=True)
class _Union:
    """Ranges of numbers, ascending and disjoint."""

    start: U64
    end: U64

    @classmethod
    def of(cls, ranges: list[Range]) -> _Union:
        merged: list[list[int]] = []
        for low, high in sorted((found.start, found.end) for found in ranges):
            if merged and low <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], high)
            else:
                merged.append([low, high])
        # The highest address has none behind it.
        bounds = np.array([(low, min(high, (1 << 64) - 1)) for low, high in merged], np.uint64)
        bounds = bounds.reshape(-1, 2)
        return cls(bounds[:, 0], bounds[:, 1])

    def __bool__(self) -> bool:
        return len(self.start) > 0

    def inside(self, words: U64) -> Int:
        """Indexes of the words that are in any of the ranges, ascending."""
        if not self:
            return np.zeros(0, np.int64)
        if len(self.start) <= _FEW:
            hit = np.zeros(len(words), np.bool_)
            for low, high in zip(self.start, self.end, strict=True):
                hit |= words - low < high - low
            return np.flatnonzero(hit)
        some = np.flatnonzero((words >= self.start[0]) & (words < self.end[-1]))
        which = np.searchsorted(self.start, words[some], side="right") - 1
        return some[words[some] < self.end[which]]
