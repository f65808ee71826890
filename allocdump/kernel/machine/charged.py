# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory cgroups by the pointers that charged memory keeps, many at once.

Mirrors ``struct obj_cgroup`` and ``obj_cgroup_memcg()`` in ``include/linux/memcontrol.h``: memory
refers to a memory cgroup, or to a ``struct obj_cgroup`` of it. When a cgroup goes offline, its
obj_cgroups become its parent's, and so does what they charge.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from drgn import Object, offsetof

from ...arrays import I32, U64, Bool
from ..kernel import Kernel
from ..walk import ReadErrors
from .cgroups import is_online, path_of

NOT_CHARGED = -1
"""No memory cgroup."""
UNREADABLE = -2
"""One that the dump does not have, or a pointer to none."""

_NAMES = {NOT_CHARGED: "(not charged)", UNREADABLE: "(unreadable)"}
ZOMBIE = " (zombie)"
"""Behind the path of a memory cgroup that was removed."""


class ChargedCgroups:
    """The memory cgroups that memory was found to be charged to, numbered as they are met."""

    def __init__(self, kernel: Kernel) -> None:
        self._prog, self._memory = kernel.prog, kernel.counting_holes().memory
        self.names: list[str] = []
        """Path of each; with ``(zombie)`` behind it, if it is offline."""
        self.gone: list[bool] = []
        """Marks those that were removed: zombies."""
        self._rows: dict[int, int] = {}

    def name(self, row: int) -> str:
        """Name of a row, also of :data:`NOT_CHARGED` and :data:`UNREADABLE`."""
        return _NAMES[row] if row < 0 else self.names[row]

    def rows(self, pointers: U64, objcg: Bool | bool) -> I32:
        """Rows of the cgroups that *pointers* lead to, shape (number of pointers,).

        :param objcg: marks pointers to a ``struct obj_cgroup``; all others are to a
            ``struct mem_cgroup``, or zero
        """
        # Both are aligned: the lowest bit is free.
        keys, where = np.unique(pointers | np.uint64(1) * np.asarray(objcg), return_inverse=True)
        objcgs = keys & np.uint64(1) != 0
        memcgs = keys & ~np.uint64(1)
        charged = memcgs != 0
        through = objcgs & charged
        if through.any():
            member = np.uint64(offsetof(self._prog.type("struct obj_cgroup"), "memcg"))
            memcgs[through], _ = self._memory.words(memcgs[through] + member)
        rows = np.full(len(keys), NOT_CHARGED, np.int32)
        if charged.any():
            rows[charged] = self._of_memcgs(memcgs[charged])
        return np.asarray(rows[where.reshape(-1)])

    def _of_memcgs(self, memcgs: U64) -> I32:
        found, where = np.unique(memcgs, return_inverse=True)
        rows = np.full(len(found), UNREADABLE, np.int32)
        subsystem = np.uint64(offsetof(self._prog.type("struct mem_cgroup"), "css.ss"))
        # Whatever is no memory cgroup does not point at their subsystem.
        words, ok = self._memory.words(found + subsystem)
        for i in np.flatnonzero(ok & (words == self._subsystem)).tolist():
            address = int(found[i])
            if address not in self._rows:
                self._rows[address] = len(self.names)
                name, gone = self._name(address)
                self.names.append(name)
                self.gone.append(gone)
            rows[i] = self._rows[address]
        return np.asarray(rows[where.reshape(-1)])

    @cached_property
    def _subsystem(self) -> int:
        """Address of the memory controller; zero if nothing tells."""
        try:
            return int(self._prog.symbol("memory_cgrp_subsys").address)
        except LookupError:
            return 0

    def _name(self, address: int) -> tuple[str, bool]:
        """Its name, and whether it was removed."""
        memcg = Object(self._prog, "struct mem_cgroup *", address)
        try:
            path, gone = path_of(memcg.css.cgroup), not is_online(memcg)
        except ReadErrors:
            return "?", False
        return (path + ZOMBIE if gone else path), gone
