# SPDX-License-Identifier: LGPL-2.1-or-later
"""Call sites in columns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from ..dump.memory import U64, Bool, Memory
from ..text import printable
from .codetag import CODETAG_FLAG_INACCURATE, Tags

Strings = npt.NDArray[np.object_]

UNKNOWN = "?"
"""Stands for a string that could not be read."""


class Evidence(IntEnum):
    """Where the numbers of a site come from."""

    COUNTER = 0
    """The kernel's own counters, summed over all possible CPUs."""
    KERNEL_LOG = 1
    """Inferred: what the kernel logged when the module was unloaded; calls are unknown."""
    NONE = 2
    """The counters were freed or are not in the dump, and nothing else tells."""


@dataclass
class Sites:
    """Call sites, one row each; every column has shape (number of sites,)."""

    address: U64
    """Address of the ``struct alloc_tag``."""
    file: Strings
    line: npt.NDArray[np.uint32]
    function: Strings
    module: Strings
    """Empty for the kernel itself."""
    unloaded: Bool
    """The module is gone; /proc/allocinfo does not show the site."""
    inferred: Bool
    """The names were recovered from the kernel log, or could not be."""
    inaccurate: Bool
    """The kernel says that the counter missed something (``accurate:no``)."""
    bytes: npt.NDArray[np.int64]
    calls: U64
    evidence: npt.NDArray[np.uint8]
    """An :class:`Evidence`."""

    def __len__(self) -> int:
        return len(self.address)

    def take(self, rows: npt.NDArray[np.intp] | Bool) -> Sites:
        """The given rows, in the given order."""
        return Sites(**{name: column[rows] for name, column in vars(self).items()})

    @staticmethod
    def none() -> Sites:
        """No sites: of a kernel that kept no profile."""
        no, names, numbers = np.zeros(0, np.bool_), np.zeros(0, np.object_), np.zeros(0, np.uint64)
        return Sites(
            address=numbers,
            file=names,
            line=numbers.astype(np.uint32),
            function=names,
            module=names,
            unloaded=no,
            inferred=no,
            inaccurate=no,
            bytes=numbers.astype(np.int64),
            calls=numbers,
            evidence=numbers.astype(np.uint8),
        )

    @staticmethod
    def concatenate(parts: list[Sites]) -> Sites:
        columns = [vars(part) for part in parts]
        return Sites(**{name: np.concatenate([c[name] for c in columns]) for name in columns[0]})


def named_sites(memory: Memory, tags: Tags) -> Sites:
    """Sites of *tags* with their names; numbers are zero, their evidence still none."""
    columns = {}
    for name in ("filename", "function", "modname"):
        pointers = np.where(tags.readable, tags.raw[name], 0)
        raw = memory.strings(pointers[pointers != 0])
        text = {p: UNKNOWN if s is None else printable(s) for p, s in raw.items()}
        # Only modname may be NULL: in the kernel itself.
        text[0] = "" if name == "modname" else UNKNOWN
        columns[name] = np.array([text[p] for p in pointers.tolist()], np.object_)
    count = len(tags)
    no = np.zeros(count, np.bool_)
    return Sites(
        address=tags.address,
        file=columns["filename"],
        line=tags.raw["lineno"].astype(np.uint32),
        function=columns["function"],
        module=columns["modname"],
        unloaded=no.copy(),
        inferred=no.copy(),
        inaccurate=(tags.raw["flags"] & CODETAG_FLAG_INACCURATE) != 0,
        bytes=np.zeros(count, np.int64),
        calls=np.zeros(count, np.uint64),
        evidence=np.full(count, Evidence.NONE, np.uint8),
    )
