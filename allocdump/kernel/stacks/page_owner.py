# SPDX-License-Identifier: LGPL-2.1-or-later
"""page_owner: who allocated, and freed, each page last.

Mirrors ``mm/page_owner.c``. Each page extension has a ``struct page_owner``, in every page of an
allocation the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from drgn import Program, offsetof, sizeof

from ...arrays import U32, U64, Bool, Columns, Int
from ...source.dtypes import dtype_of
from ...text import printable
from ..kernel import Kernel
from ..layouts import has_symbol, static_key
from ..mm.sections import MemorySection, page_ext_size

_COLUMNS: dict[str, tuple[str, type, int]] = {
    "order": ("order", np.int64, 0),
    "handle": ("handle", np.uint32, 0),
    "free_handle": ("free_handle", np.uint32, 0),
    "time": ("ts_nsec", np.uint64, 0),
    "free_time": ("free_ts_nsec", np.uint64, 0),
    "pid": ("pid", np.int64, -1),
    "tgid": ("tgid", np.int64, -1),
    "free_pid": ("free_pid", np.int64, -1),
    "free_tgid": ("free_tgid", np.int64, -1),
}
"""Of each column the member, the type, and what stands for none in kernels that do not know it."""
_NONE = ("early_handle", "dummy_handle", "failure_handle")
_COMM = 16
"""TASK_COMM_LEN"""

State = Literal["on", "off", "not built in"]


@dataclass
class PageOwners(Columns):
    """Owners of some pages; columns of shape (number of pages,)."""

    known: Bool
    """Marks pages that were allocated since page_owner began, or found in use then."""
    allocated: Bool
    """Marks those of them that are in use."""
    order: Int
    handle: U32
    """Stack that allocated it; 0 if none was kept."""
    free_handle: U32
    """Stack that freed it last, be it before it was allocated again."""
    time: U64
    """Nanoseconds by the clock of the kernel log when it was allocated."""
    free_time: U64
    pid: Int
    """-1 where the kernel does not keep it, as for all pids here."""
    tgid: Int
    free_pid: Int
    free_tgid: Int
    comm: npt.NDArray[np.bytes_]
    """Name of the task that allocated it, as it was then, for :func:`comm_of`; empty where the
    kernel keeps none."""


def comm_of(raw: bytes) -> str:
    """The name of a task; behind its end lies what was there before."""
    return printable(bytes(raw).partition(b"\0")[0])


def page_owner_state(prog: Program) -> State:
    """Tell if the kernel keeps owners of pages, as it does when booted with ``page_owner=on``."""
    if not has_symbol(prog, "page_owner_ops"):
        return "not built in"
    return "on" if static_key(prog, "page_owner_inited") else "off"


class PageOwnerReader:
    """Reads the owners of pages.

    :param sections: all memory
    :raises LookupError: if the kernel's types lack what this needs
    :raises ValueError: if the place where they lie cannot be
    """

    def __init__(self, kernel: Kernel, sections: list[MemorySection]) -> None:
        prog = kernel.prog
        # Holes here are told as problems, not as holes in what describes memory.
        self.memory = kernel.counting_holes().memory
        owner = prog.type("struct page_owner")
        size, at = page_ext_size(prog), int(prog["page_owner_ops"].offset.value_())
        if not 0 <= at <= size - sizeof(owner) or at % 4:
            raise ValueError(f"page_owner_ops.offset is damaged: {at:,}")
        self._dtype = _dtype(prog, size, at)
        self._known, self._allocated = (
            np.uint64(1 << prog.constant(f"PAGE_EXT_OWNER{name}").value_())
            for name in ("", "_ALLOCATED")
        )
        self.none = [prog.read_u32(s.address) for name in _NONE for s in prog.symbols(name)]
        """Handles that stand for none: of pages that were in use when page_owner began, and of
        those whose stack could not be kept."""
        with_ext = [s for s in sections if s.page_ext]
        self._first = np.array([s.pfn for s in with_ext], np.int64)
        self._pages = np.array([s.pages for s in with_ext], np.int64)
        self._base = np.array([s.page_ext for s in with_ext], np.uint64)

    def owners(self, pfn: Int) -> PageOwners:
        """The owners of page frames; nothing is known of those whose extension is unreadable."""
        place, there = self._places(pfn)
        raw, readable = self.memory.records(place, self._dtype)
        known = there & readable & (raw["flags"] & self._known != 0)
        names = self._dtype.names or ()
        columns: dict[str, Any] = {
            name: np.where(known, raw[name], 0).astype(dtype)
            if name in names
            else np.full(len(pfn), none, dtype)
            for name, (_, dtype, none) in _COLUMNS.items()
        }
        columns["comm"] = np.where(known, raw["comm"] if "comm" in names else b"", b"")
        return PageOwners(known, known & (raw["flags"] & self._allocated != 0), **columns)

    def handles(self, pfn: Int) -> U32:
        """The stacks that allocated page frames that are in use; 0 of others, and without one."""
        place, there = self._places(pfn)
        fields = self._dtype.fields
        assert fields
        flags, _ = self.memory.words(place + np.uint64(fields["flags"][1]))
        handle, readable = self.memory.u32(place + np.uint64(fields["handle"][1]))
        used = there & readable & (flags & self._allocated != 0)
        return np.where(used & ~np.isin(handle, self.none), handle, np.uint32(0))

    def _places(self, pfn: Int) -> tuple[U64, Bool]:
        """Addresses of the extensions of page frames, and whether there are any."""
        if not len(self._first):
            return np.zeros(len(pfn), np.uint64), np.zeros(len(pfn), np.bool_)
        which = np.maximum(np.searchsorted(self._first, pfn, side="right") - 1, 0)
        index = pfn - self._first[which]
        inside = (index >= 0) & (index < self._pages[which])
        index = np.where(inside, index, 0)
        place = self._base[which] + (index * self._dtype.itemsize).astype(np.uint64)
        return place, inside


def _dtype(prog: Program, size: int, at: int) -> np.dtype[np.void]:
    """dtype of a page extension with what is read of it.

    :param at: offset of the ``struct page_owner``
    """
    ext, owner = prog.type("struct page_ext"), prog.type("struct page_owner")
    members = {name: m for name, (m, *_) in _COLUMNS.items() if owner.has_member(m)}
    part = dtype_of(owner, members)
    fields = {"flags": ("<u8", offsetof(ext, "flags"))}
    fields |= {name: (part[name].str, at + offsetof(owner, m)) for name, m in members.items()}
    if owner.has_member("comm"):
        fields["comm"] = (f"S{_COMM}", at + offsetof(owner, "comm"))
    formats, offsets = zip(*fields.values(), strict=True)
    return np.dtype(
        {"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": size}
    )
