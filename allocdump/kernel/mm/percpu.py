# SPDX-License-Identifier: LGPL-2.1-or-later
"""Objects of the per-CPU allocator.

Mirrors ``mm/percpu.c`` and ``mm/percpu-internal.h`` (``struct pcpu_chunk``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from drgn import FaultError, Object, Program, offsetof, sizeof

from ...arrays import U64
from ...problems import Problem
from ..kernel import Kernel
from ..layouts import PercpuCharges
from ..tags.references import NONE, Rows, SiteIndex
from ..walk import Cut, bounded_count, is_damage, list_entries, structure, walk

MIN_ALLOC = 4
"""PCPU_MIN_ALLOC_SIZE: one bit of the maps."""
_MAX_PAGES = 1 << 20
_MOST_SLOTS = 64
_CHUNKS = structure("per-CPU chunks", "per-CPU chunk", many=True)


@dataclass
class PerCpuObjects:
    """Allocated objects of one chunk; columns of shape (number of objects,)."""

    address: int
    """Of its ``struct pcpu_chunk``."""
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
    hidden: npt.NDArray[np.bool_]
    """Marks what is no allocation: the first chunks say so of static variables beside them."""
    has_vector: bool
    """The first chunks have no references: their objects are not counted."""
    vector_bytes: int
    charges: int
    """Address of the vector with their memory cgroups; 0 without."""
    populated: npt.NDArray[np.bool_]
    """Marks the pages of a copy that exist."""


class PerCpuReader:
    """Iterates over chunks; *problems* says what was damaged."""

    def __init__(self, kernel: Kernel, index: SiteIndex) -> None:
        self.kernel, self.memory = kernel, kernel.memory
        self.index = index
        self.problems: list[Problem] = []
        self._has_refs = kernel.layouts.profiling
        self._charges = kernel.layouts[PercpuCharges]

    def __iter__(self) -> Iterator[PerCpuObjects]:
        prog = self.memory.prog
        try:
            base = pointer_base(prog)
        except Exception as e:
            if not is_damage(e):
                raise
            self.problems.append(_CHUNKS.cut(e))
            return
        walked = walk(prog, _CHUNKS, lambda: chunks(prog), lambda c: self._read(c, base))
        self.problems += walked.problems
        yield from walked.found

    def _read(self, chunk: Object, base: int) -> PerCpuObjects:
        prog, memory = self.memory.prog, self.memory
        pages = chunk.nr_pages.value_()
        if not 0 <= pages <= _MAX_PAGES:
            raise ValueError(f"a chunk has {pages} pages")
        span = pages * self.kernel.page.bytes
        bits = span // MIN_ALLOC
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
        charges = 0
        if self._charges is not PercpuCharges.NONE:
            extended = self._charges is PercpuCharges.EXTENSION
            charges = (chunk.obj_exts if extended else chunk.obj_cgroups).value_()
        if vector:
            refs, _ = memory.words(_addresses(vector + offsetof(ext, "tag"), starts * ext_size))
        first = (chunk.base_addr.value_() - base) % (1 << 64)
        room = span - chunk.end_offset.value_()
        hidden = (starts * MIN_ALLOC < chunk.start_offset.value_()) | (ends * MIN_ALLOC > room)
        return PerCpuObjects(
            chunk.value_(),
            first,
            span,
            _addresses(first, starts * MIN_ALLOC),
            (ends - starts) * MIN_ALLOC,
            self.index.rows(refs) if vector else np.full(len(starts), NONE, np.int32),
            refs,
            hidden,
            bool(vector),
            bits * ext_size if vector else 0,
            charges,
            self._bitmap(chunk.populated.address_of_().value_(), pages),
        )

    def _bitmap(self, address: int, bits: int) -> npt.NDArray[np.bool_]:
        data, ok = self.memory.read(address, (bits + 7) // 8)
        if not ok.all():
            raise FaultError("a bitmap is not readable", address)
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


def chunks(prog: Program) -> Iterator[Object | Cut]:
    """Steps through all chunks, as ``struct pcpu_chunk *``."""
    lists = prog["pcpu_chunk_lists"].read_()
    # Slots are for powers of two up to a unit's size, and three more.
    slots = bounded_count(prog["pcpu_nr_slots"].value_(), _MOST_SLOTS, "pcpu_nr_slots")
    for slot in range(slots):
        yield from list_entries("struct pcpu_chunk", lists + slot, "list")
    reserved = prog["pcpu_reserved_chunk"].read_()
    if reserved:
        yield reserved
