# SPDX-License-Identifier: LGPL-2.1-or-later
"""Objects of the per-CPU allocator.

Mirrors ``mm/percpu.c`` and ``mm/percpu-internal.h`` (``struct pcpu_chunk``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from drgn import Object, Program, offsetof, sizeof
from drgn.helpers.linux.list import list_for_each_entry

from ...source.memory import U64, Memory
from ..tags.profiling import built_in
from ..tags.references import NONE, Rows, SiteIndex
from ..walk import ReadErrors, once, walk

MIN_ALLOC = 4
"""PCPU_MIN_ALLOC_SIZE: one bit of the maps."""
_MAX_PAGES = 1 << 20


@dataclass
class PerCpuObjects:
    """Allocated objects of one chunk; columns of shape (number of objects,)."""

    start: int
    """Per-CPU pointer to the start of the chunk."""
    span: int
    """Bytes of one CPU's copy of the chunk."""
    pointer: U64
    """The per-CPU pointer, to which a CPU's ``__per_cpu_offset`` is added."""
    size: npt.NDArray[np.int64]
    """Bytes of one CPU's copy."""
    site: Rows
    refs: U64
    has_vector: bool
    """The first chunks have no references: their objects are not counted."""
    vector_bytes: int
    populated: npt.NDArray[np.bool_]
    """Marks the pages of a copy that exist."""


class PerCpuReader:
    """Iterates over chunks; *problems* says what was damaged."""

    def __init__(self, memory: Memory, index: SiteIndex) -> None:
        self.memory = memory
        self.index = index
        self.problems: list[str] = []
        self._has_refs = built_in(memory.prog)

    def __iter__(self) -> Iterator[PerCpuObjects]:
        prog = self.memory.prog
        try:
            base = pointer_base(prog)
            found, error = walk(prog, lambda: once(chunks(prog)))
            for chunk in found:
                yield self._read(chunk, base)
        except ReadErrors as e:
            error = e
        if error:
            self.problems.append(f"per-CPU chunks are damaged: {error}")

    def _read(self, chunk: Object, base: int) -> PerCpuObjects:
        prog, memory = self.memory.prog, self.memory
        pages = chunk.nr_pages.value_()
        if not 0 <= pages <= _MAX_PAGES:
            raise ValueError(f"a chunk has {pages} pages")
        bits = pages * 4096 // MIN_ALLOC
        alloc = self._bitmap(chunk.alloc_map.value_(), bits)
        # One bit more than there is room for marks the end.
        bound = self._bitmap(chunk.bound_map.value_(), bits + 1)
        starts = np.flatnonzero(bound)
        ends = np.append(starts[1:], bits)
        inside = starts < bits
        starts, ends = starts[inside], ends[inside]
        starts, ends = starts[alloc[starts]], ends[alloc[starts]]
        refs = np.zeros(len(starts), np.uint64)
        vector = ext_size = 0
        if self._has_refs:
            ext = prog.type("struct pcpuobj_ext")
            ext_size, vector = sizeof(ext), chunk.obj_exts.value_()
        if vector:
            refs, _ = memory.words(_addresses(vector + offsetof(ext, "tag"), starts * ext_size))
        first = (chunk.base_addr.value_() - base) % (1 << 64)
        return PerCpuObjects(
            first,
            pages * 4096,
            _addresses(first, starts * MIN_ALLOC),
            (ends - starts) * MIN_ALLOC,
            self.index.rows(refs) if vector else np.full(len(starts), NONE, np.int32),
            refs,
            bool(vector),
            bits * ext_size if vector else 0,
            self._bitmap(chunk.populated.address_of_().value_(), pages),
        )

    def _bitmap(self, address: int, bits: int) -> npt.NDArray[np.bool_]:
        data, _ = self.memory.read(address, (bits + 7) // 8)
        return np.unpackbits(data, bitorder="little")[:bits].astype(np.bool_)


def _addresses(base: int, offsets: npt.NDArray[np.int64]) -> U64:
    return np.uint64(base % (1 << 64)) + offsets.astype(np.uint64)


def cgroup_pointers(prog: Program) -> bool:
    """Tell if per-CPU objects have pointers to their memory cgroup."""
    try:
        return bool(prog.type("struct pcpuobj_ext").has_member("cgroup"))
    except LookupError:
        return False


def pointer_base(prog: Program) -> int:
    """Address in the first unit, less its per-CPU pointer: ``__addr_to_pcpu_ptr()``."""
    first = prog.read_u64(prog.symbol("pcpu_base_addr").address)
    return int(first - prog.symbol("__per_cpu_start").address)


def chunks(prog: Program) -> Iterator[Object]:
    lists = prog["pcpu_chunk_lists"].read_()
    for slot in range(prog["pcpu_nr_slots"].value_()):
        yield from list_for_each_entry("struct pcpu_chunk", lists + slot, "list")
    reserved = prog["pcpu_reserved_chunk"].read_()
    if reserved:
        yield reserved
