# SPDX-License-Identifier: LGPL-2.1-or-later
"""Roots: they keep memory alive without being allocations themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class Tier(IntEnum):
    """Weight of a root: later tiers do not claim what an earlier one holds.

    A stale word on a stack may point into the middle of a list; the list is still the
    global variable's.
    """

    NAMED = 0
    """Global and per-CPU variables, tasks."""
    STACK = 1
    """Stacks in use, and registers."""
    OTHER = 2
    """Memory that is in use but not judged."""
    UNPROVEN = 3
    """Something that may hold memory, but the dump does not show whether it does: memory that
    only this reaches is neither held nor lost."""


@dataclass(frozen=True)
class Root:
    """Something that holds memory alive."""

    name: str
    where: str
    """``kernel``, ``per-CPU``, ``task``, a module's name and section ...; may be empty."""
    tier: Tier
    start: int = field(default=0, compare=False)
    """Address of a variable or of a stack's part in use; of per-CPU variables, in the
    kernel image. 0 if there is none."""
    size: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{self.name} ({self.where})" if self.where else self.name


@dataclass
class Roots:
    """All roots met, numbered from 0."""

    all: list[Root] = field(default_factory=list)
    _numbers: dict[Root, int] = field(default_factory=dict)

    def add(self, name: str, tier: Tier, where: str = "", start: int = 0, size: int = 0) -> int:
        """The number of a root, new or not."""
        root = Root(name, where, tier, start, size)
        number = self._numbers.setdefault(root, len(self.all))
        if number == len(self.all):
            self.all.append(root)
        return number
