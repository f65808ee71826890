# SPDX-License-Identifier: LGPL-2.1-or-later
"""Call sites in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...arch.base import PageSize
from ...arrays import U64, Bool, Columns, Int, Values
from ...source.memory import Memory
from ...text import printable
from .codetag import CODETAG_FLAG_INACCURATE, Tags
from .roles import role

Strings = npt.NDArray[np.object_]

UNKNOWN = "?"
"""Stands for a string that could not be read."""


class Provenance(IntEnum):
    """Sources of a site's numbers."""

    COUNTER = 0
    """The kernel's own counters, summed over all possible CPUs."""
    KERNEL_LOG = 1
    """Inferred from the kernel's message at the module's unload; calls are unknown."""
    NONE = 2
    """The counters were freed or are not in the dump, and nothing else tells."""


class OriginKind(IntEnum):
    """Kinds of origins: what tells where an allocation comes from."""

    SITE = 0
    """The tag of its call site."""
    CACHE = 1
    """The slab cache that an object is of."""
    CALLER = 2
    """The function that asked for a vmalloc area."""
    PAGES = 3
    """The use of a page, as far as its struct page and its pointers tell."""
    PERCPU = 4
    """The per-CPU allocator: nothing tells its objects apart."""
    STACK = 5
    """The call site in the stack that the kernel kept of an allocation."""


_WORDS = {
    OriginKind.CACHE: "slab cache",
    OriginKind.CALLER: "vmalloc caller",
    OriginKind.PAGES: "kind of page",
    OriginKind.PERCPU: "allocator",
    OriginKind.STACK: "stack",
}


def kind_of(origin: str | None) -> str:
    """``slab cache`` for ``cache``, as records have it; empty for call sites."""
    return _WORDS.get(OriginKind[origin.upper()], "") if origin else ""


class Site(NamedTuple):
    """One call site; the fields are those of :class:`Sites`."""

    file: str
    line: int
    function: str
    module: str
    bytes: int
    calls: int
    inaccurate: bool = False
    unloaded: bool = False
    inferred: bool = False
    evidence: Provenance = Provenance.COUNTER
    address: int = 0


class SiteName(NamedTuple):
    """The names of a call site: where it is, and what it is a part of.

    Of any other origin, only :attr:`file` says something: its name.
    """

    file: str
    line: int
    function: str
    module: str
    """Empty for the kernel itself."""
    origin: OriginKind = OriginKind.SITE

    @property
    def is_site(self) -> bool:
        """False for slab caches and other origins without a tag."""
        return self.origin == OriginKind.SITE

    @property
    def kind(self) -> str:
        """``slab cache``, ``vmalloc caller`` ...; empty for call sites."""
        return _WORDS.get(self.origin, "")

    @property
    def place(self) -> str:
        """``leaker.c:44``, ``dentry``"""
        return f"{self.file}:{self.line}" if self.is_site else self.file

    @property
    def label(self) -> str:
        """``leaker.c:44 leaker_get_page [leaker]``, ``slab cache dentry``, ``page cache``,
        ``lose_pages+0x40 [reach]``"""
        if self.origin in (OriginKind.CACHE, OriginKind.CALLER):
            return f"{self.kind} {self.file}{self._in_module}"
        if self.origin == OriginKind.STACK:
            return f"{self.file}{self._in_module}"
        return f"{self.place} {self.function}" + self._in_module if self.is_site else self.file

    @property
    def tag(self) -> str:
        """``leaker.c:44 [leaker] func:leaker_get_page``, as in /proc/allocinfo."""
        return f"{self.place}{self._in_module} func:{self.function}"

    @property
    def _in_module(self) -> str:
        return f" [{self.module}]" if self.module else ""


_PLACE = ("file", "line", "function", "module")


@dataclass
class Sites(Columns):
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
    """An :class:`Provenance`."""

    @classmethod
    def none(cls) -> Sites:
        """No sites: of a kernel that kept no profile."""
        return cls.of([])

    @classmethod
    def of(cls, rows: Sequence[Site]) -> Sites:
        """Columns of *rows*, whose numbers must fit in them."""
        return cls(
            **{
                name: np.array([getattr(row, name) for row in rows], dtype)
                for name, dtype in _DTYPES.items()
            }
        )

    @property
    def tagged(self) -> int:
        """Number of rows that are call sites; those of other origins follow."""
        return len(self)

    @property
    def shared(self) -> Bool:
        """Marks rows that many call sites may have in common: no call site is."""
        return np.zeros(len(self), np.bool_)

    @property
    def role(self) -> Strings:
        """The :class:`.roles.Role` of each site."""
        names = zip(self.file, self.function, self.module, strict=True)
        return np.array([role(*name) for name in names], np.object_)

    @property
    def backing(self) -> Bool:
        """Marks sites of pages whose objects are counted at sites of their own: sums that
        count every byte once leave them out."""
        return np.array([one.backing for one in self.role], np.bool_)

    def most_pages(self, page: PageSize) -> Int:
        """Pages that one allocation of each site has at most, by its counter.

        A site whose bytes are no whole pages for each call has objects as well: then its
        allocations together are all that is known. A counter that is not exact tells nothing.
        """
        pages, rest = np.divmod(self.bytes, page.bytes)
        calls = np.minimum(self.calls, 1 << 62).astype(np.int64)
        most = np.where((rest == 0) & (calls <= pages), pages - calls + 1, pages)
        exact = (self.evidence == Provenance.COUNTER) & ~self.inaccurate
        return np.where(exact, np.maximum(most, 1), 1 << 62)

    def to_dict(self) -> dict[str, Values]:
        """The columns by name, :attr:`role` among them."""
        return super().to_dict() | {"role": self.role}

    def names(self, rows: npt.NDArray[np.integer]) -> dict[str, Values]:
        """The names of some sites as columns; empty, and line 0, of rows below 0: no site."""
        columns = self.file, self.line, self.function, self.module
        none = rows < 0
        return {
            name: np.where(none, 0 if name == "line" else "", column[np.where(none, 0, rows)])
            if len(self)
            else np.zeros(len(rows), column.dtype)
            for name, column in zip(_PLACE, columns, strict=True)
        }

    def name(self, row: int) -> SiteName:
        """The names of one site."""
        return SiteName(self.file[row], int(self.line[row]), self.function[row], self.module[row])

    def place(self, row: int) -> str:
        """``leaker.c:44``"""
        return self.name(row).place

    def label(self, row: int) -> str:
        """The one form of a site in a sentence: ``leaker.c:44 leaker_get_page [leaker]``"""
        return self.name(row).label


_DTYPES: dict[str, type] = {
    "address": np.uint64,
    "file": np.object_,
    "line": np.uint32,
    "function": np.object_,
    "module": np.object_,
    "unloaded": np.bool_,
    "inferred": np.bool_,
    "inaccurate": np.bool_,
    "bytes": np.int64,
    "calls": np.uint64,
    "evidence": np.uint8,
}


def fits(*, line: int, bytes: int, calls: int) -> bool:
    """Tell if numbers that were read from a text can be those of a site."""
    return 0 <= line < 1 << 32 and -(1 << 63) <= bytes < 1 << 63 and 0 <= calls < 1 << 64


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
        evidence=np.full(count, Provenance.NONE, np.uint8),
    )
