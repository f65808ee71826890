# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that is still charged to memory cgroups which were removed: zombies.

What the kernel allocates for a cgroup becomes its parent's when it is removed. Pages of user space
do so since Linux 7.1; before, page cache, shared memory and anonymous memory stay with the zombie,
and keep it, until they are freed or reclaimed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from ..arrays import sum_by
from ..kernel.machine.charged import ZOMBIE
from ..kernel.mm.page_types import PageKind
from ..kernel.mm.pagemap import PageMap, Part
from ..result import Result, Values, column

FILES = (PageKind.CACHE, PageKind.SHMEM)
"""Kinds of pages that a file has."""


@dataclass
class Zombies(Result):
    """Bytes that are charged to them, by charges themselves, not by counters."""

    cgroups: Counter[str] = field(default_factory=Counter)
    """By path of the zombie, without a mark; several may have had one."""
    number: int = 0
    """Of zombies that are charged for anything."""
    kinds: Counter[PageKind] = field(default_factory=Counter)
    mappings: Counter[int] = field(default_factory=Counter)
    """Of pages of files: by address of their ``struct address_space``."""

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.kinds.total()

    def to_dict(self) -> dict[str, Values]:
        """Path and bytes of each, most first."""
        rows = self.cgroups.most_common()
        return {
            "path": column([path for path, _ in rows]),
            "bytes": column([size for _, size in rows]),
        }

    def in_short(self) -> str:
        return f"{self.bytes:,} bytes charged to {self.number:,} removed memory cgroups"


class ZombieAdder:
    """Adds up what zombies are charged for in the parts of a page map."""

    def __init__(self, pagemap: PageMap) -> None:
        self._pagemap, self._charges = pagemap, pagemap.charges
        self._of: Counter[int] = Counter()
        self._found = Zombies()

    def part(self, part: Part) -> None:
        """Add one part."""
        frames = part.frames
        heads = np.flatnonzero(frames.is_head & (frames.raw["mapping"] != 0))
        rows = self._charges.of_pages(frames, heads)
        gone = np.array([*self._charges.cgroups.gone, False, False], np.bool_)
        some = gone[rows]
        heads, rows = heads[some], rows[some]
        if not len(heads):
            return
        size = np.int64(self._pagemap.kernel.page.bytes) << frames.order[heads].astype(np.int64)
        kind = frames.kind[heads]
        _add(self._of, rows, size)
        for one in np.unique(kind).tolist():
            self._found.kinds[PageKind(one)] += int(size[kind == one].sum())
        of_file = np.isin(kind, FILES)
        _add(self._found.mappings, frames.raw["mapping"][heads[of_file]], size[of_file])

    def result(self) -> Zombies:
        """All sums."""
        found, names = self._found, self._charges.cgroups.names
        for row, size in self._of.items():
            found.cgroups[names[row].removesuffix(ZOMBIE)] += size
        found.number = len(self._of)
        return found


def _add(to: Counter[int], keys: np.ndarray, values: np.ndarray) -> None:
    each, where = np.unique(keys, return_inverse=True)
    sums = sum_by(where.reshape(-1), values, len(each))
    for key, value in zip(each.tolist(), sums.tolist(), strict=True):
        to[key] += value
