# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holders of pointers: what a word in memory is a part of, and which member of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt
from drgn import Object

from ..arrays import U64
from ..kernel.machine.modules import loaded_modules
from ..kernel.machine.tasks import every_task
from ..kernel.mm.boot_memory import kernel_image
from ..kernel.mm.page_types import PageKind
from ..kernel.mm.pagemap import PageMap
from ..kernel.mm.whois import Layer, Locator
from ..kernel.walk import ReadErrors
from ..text import printable
from .members import cache_type, member_at
from .nodes import NOTHING, Spans
from .pointer_grep import USERS, Hits, Where
from .symbols import Named, Symbols
from .targets import Target, Way
from .task_roots import registers_of, stack_pointer, stack_size


class HolderKind(IntEnum):
    """Kinds of holders, in the order in which they are listed."""

    VARIABLE = 0
    TASK = 1
    """A stack, or a register."""
    OBJECT = 2
    PAGES = 3
    """Pages of the kernel: vmalloc areas, allocations of pages, boot memory."""
    STRUCT_PAGE = 4
    TABLE = 5
    USER = 6
    FREE = 7
    """A free slab object."""
    ITSELF = 8


IN_WORDS = {
    HolderKind.VARIABLE: "variables",
    HolderKind.TASK: "stacks and registers",
    HolderKind.OBJECT: "slab objects",
    HolderKind.PAGES: "pages of the kernel",
    HolderKind.STRUCT_PAGE: "struct pages",
    HolderKind.TABLE: "page tables",
    HolderKind.USER: "pages of user space",
    HolderKind.FREE: "free slab objects",
    HolderKind.ITSELF: "the memory itself",
}


@dataclass(frozen=True)
class Holder:
    """The thing that a word is in."""

    kind: HolderKind
    layer: Layer
    offset: int | None
    """Of the word in it; None of a register or an instruction."""
    member: str
    """Name of the word by the holder's type: ``d_parent``, ``init_task.comm``; may be empty."""


class Holders:
    """Names the places of words."""

    def __init__(self, pagemap: PageMap, locator: Locator, symbols: Symbols) -> None:
        self.pagemap, self.locator, self.symbols = pagemap, locator, symbols
        self.prog, self.kernel = pagemap.kernel.prog, pagemap.kernel
        self._direct_map = np.uint64(self.kernel.direct_map)

    # All of them at once

    def kinds(self, hits: Hits, targets: list[Target]) -> npt.NDArray[np.uint8]:
        """The :class:`HolderKind` of each hit: shape (hits,)."""
        kind = np.full(len(hits), HolderKind.PAGES, np.uint8)
        memory = hits.where == Where.MEMORY
        kind[memory & (hits.kind == PageKind.PAGE_TABLE)] = HolderKind.TABLE
        kind[memory & np.isin(hits.kind, USERS)] = HolderKind.USER
        kind[hits.cache >= 0] = HolderKind.OBJECT
        virtual = self.virtual(hits)
        for spans, found in (
            (self._percpu, HolderKind.VARIABLE),
            (self._modules, HolderKind.VARIABLE),
            (self._stacks, HolderKind.TASK),
        ):
            kind[memory & (spans.find(virtual) != NOTHING)] = found
        kind[self._in_image(virtual) & (spans.find(virtual) == NOTHING)] = HolderKind.VARIABLE
        kind[hits.where == Where.CODE] = HolderKind.VARIABLE
        kind[hits.where == Where.STRUCT_PAGE] = HolderKind.STRUCT_PAGE
        kind[hits.free] = HolderKind.FREE
        kind[self._in_targets(hits, virtual, targets)] = HolderKind.ITSELF
        return kind

    def virtual(self, hits: Hits) -> U64:
        """Addresses by which places are known: in the kernel image, in vmalloc space, or else in
        the direct map: shape (hits,).
        """
        out = hits.place.copy()
        rows = np.flatnonzero(hits.where == Where.MEMORY)
        pfn = ((out[rows] - self._direct_map) >> np.uint64(self.kernel.page.shift)).view(np.int64)
        inside = out[rows] & np.uint64(self.kernel.page.bytes - 1)
        areas = self.pagemap.origins.pages_of_areas
        if len(areas.pfn):
            at = np.minimum(np.searchsorted(areas.pfn, pfn), len(areas.pfn) - 1)
            hit = areas.pfn[at] == pfn
            out[rows[hit]] = areas.virtual[at[hit]] + inside[hit]
        start, first, pages = self._image
        image = (pfn >= first) & (pfn < first + pages)
        # What boot freed of the image is somebody else's.
        image &= hits.kind[rows] == PageKind.RESERVED
        index = (pfn[image] - first).astype(np.uint64) * np.uint64(self.kernel.page.bytes)
        out[rows[image]] = np.uint64(start) + index + inside[image]
        return out

    def _in_image(self, virtual: U64) -> npt.NDArray[np.bool_]:
        start, _, pages = self._image
        return np.asarray(virtual - np.uint64(start) < np.uint64(pages * self.kernel.page.bytes))

    @staticmethod
    def _in_targets(hits: Hits, virtual: U64, targets: list[Target]) -> npt.NDArray[np.bool_]:
        out = np.zeros(len(hits), np.bool_)
        own = (Way.ADDRESS, Way.COPY, Way.PAGE)
        for number in np.unique(hits.target).tolist():
            rows = np.flatnonzero(hits.target == number)
            for found in targets[number].ranges:
                if found.way in own:
                    out[rows] |= found.holds(virtual[rows]) | found.holds(hits.place[rows])
        return out

    @cached_property
    def _image(self) -> tuple[int, int, int]:
        try:
            return kernel_image(self.prog)
        except ReadErrors:
            return 0, 0, 0

    @cached_property
    def _percpu(self) -> Spans:
        """All copies of per-CPU memory."""
        bounds = [(c.start, c.span) for c in self.pagemap.percpu_chunks]
        try:
            start, end = (self.prog.symbol(f"__per_cpu_{n}").address for n in ("start", "end"))
            bounds.append((start, end - start))
        except LookupError:
            pass
        return _spans(
            ((start + offset) % (1 << 64), span)
            for start, span in bounds
            for _, offset in self.locator.cpus
        )

    @cached_property
    def _modules(self) -> Spans:
        found = []
        for module in loaded_modules(self.prog).modules:
            try:
                found += module.regions()
            except ReadErrors:
                continue
        return _spans(found)

    @cached_property
    def _tasks(self) -> dict[int, Object]:
        """Tasks by the start of their stacks."""
        found = {}
        for task in every_task(self.prog):
            try:
                base = task.stack.value_()
            except ReadErrors:
                continue
            if base:
                found[base] = task
        return found

    @cached_property
    def _stack_size(self) -> int:
        return stack_size(self.prog)

    @cached_property
    def _stacks(self) -> Spans:
        return _spans((base, self._stack_size) for base in self._tasks)

    # One at a time

    def frame_of(self, entry: int) -> int:
        """The physical address in an entry of a page table."""
        return int(self.kernel.arch.tables.physical(np.array([entry], np.uint64))[0])

    def holder(self, kind: HolderKind, hits: Hits, row: int, virtual: int) -> Holder:
        """The holder of one hit.

        :param virtual: of :meth:`virtual`
        """
        place = int(hits.place[row])
        if hits.where[row] == Where.STRUCT_PAGE:
            return self._struct_page(kind, place, PageKind(int(hits.kind[row])))
        if hits.where[row] == Where.CODE:
            return self._instruction(kind, place)
        if hits.cache[row] >= 0:
            return self._object(kind, place, int(hits.object[row]), int(hits.cache[row]))
        base = int(self._stacks.find(np.array([virtual], np.uint64))[0])
        if base != NOTHING:
            return self._stack(kind, virtual, int(self._stacks.start[base]))
        found = self._variable(kind, virtual)
        if found:
            return found
        layers = self.locator.memory_at(virtual)
        # A vmalloc area has the origin of its pages.
        layer = layers[0] if layers else Layer("nothing")
        if layer.site is None and len(layers) > 1 and layer.what == "vmalloc area":
            layer.site, layer.evidence = layers[1].site, layers[1].evidence
        return Holder(kind, layer, _offset(layer, virtual, place), "")

    def _object(self, kind: HolderKind, place: int, start: int, cache: int) -> Holder:
        layers = self.locator.memory_at(place)
        layer = layers[0]
        found = self.pagemap.caches[cache]
        type_ = cache_type(self.prog, found.name, found.object_size)
        member = member_at(type_, place - start).removeprefix(".") if type_ else ""
        return Holder(kind, layer, place - start, member)

    def _struct_page(self, kind: HolderKind, place: int, of: PageKind) -> Holder:
        for section in self.pagemap.frames.sections:
            size = self.pagemap.frames.page_size
            index, offset = divmod(place - section.memmap, size)
            if 0 <= index < section.pages:
                break
        else:
            return Holder(kind, Layer("nothing"), None, "")
        layer = Layer("struct page", place - offset, size, detail={"pfn": section.pfn + index})
        try:
            type_ = self.prog.type("struct slab" if of == PageKind.SLAB else "struct page")
            member = member_at(type_, offset).removeprefix(".")
        except LookupError:
            member = ""
        return Holder(kind, layer, offset, member)

    def _instruction(self, kind: HolderKind, place: int) -> Holder:
        named = self.symbols.of_kernel(place)
        if named is None:
            return Holder(kind, Layer("instruction", place), None, "")
        detail: dict[str, object] = {"symbol": named.name}
        layer = Layer("instruction", named.start, named.size, detail=detail)
        return Holder(kind, layer, place - named.start, "")

    def _stack(self, kind: HolderKind, place: int, base: int) -> Holder:
        task = self._tasks[base]
        try:
            name = f"{printable(task.comm.string_())} [{task.pid.value_()}]"
            named = registers_of(task)
            values = None if named is None else np.array(list(named.values()), np.uint64)
            used = stack_pointer(self.kernel.arch, task, base, self._stack_size, values)
            state = "in use" if place >= used else "below the stack pointer"
        except ReadErrors:
            name, state = "?", "unknown"
        detail: dict[str, object] = {"task": name, "state": state}
        return Holder(kind, Layer("stack", base, self._stack_size, detail=detail), place - base, "")

    def _variable(self, kind: HolderKind, place: int) -> Holder | None:
        for cpu, offset in self.locator.cpus:
            pointer = (place - offset) % (1 << 64)
            found = self.locator.percpu_at(pointer, cpu)
            if found is None:
                continue
            if found.what == "per-CPU variable":
                named = self.symbols.of_kernel(pointer)
                return _named(kind, named, pointer, found.what, cpu) if named else None
            start = None if found.start is None else pointer - found.start
            return Holder(kind, found, start, "")
        if self._modules.find(np.array([place], np.uint64))[0] != NOTHING:
            named = self.symbols.of_module(place)
        elif self._in_image(np.array([place], np.uint64))[0]:
            named = self.symbols.of_kernel(place)
        else:
            return None
        return _named(kind, named, place, "variable", None) if named else None


def _offset(layer: Layer, *addresses: int) -> int | None:
    """Offset in a layer of a word, by the first of its addresses that is in it.

    Areas and modules begin in the kernel's mappings, pages in the direct map.
    """
    if layer.start is None or layer.size is None:
        return None
    offsets = (address - layer.start for address in addresses)
    return next((offset for offset in offsets if 0 <= offset < layer.size), None)


def _named(kind: HolderKind, named: Named, place: int, what: str, cpu: int | None) -> Holder:
    detail: dict[str, object] = {"symbol": named.name}
    if named.module:
        detail["module"] = named.module
    if cpu is not None:
        detail["cpu"] = cpu
    layer = Layer(what, named.start, named.size, detail=detail)
    return Holder(kind, layer, place - named.start, named.member(place - named.start))


def _spans(bounds: Iterable[tuple[int, int]]) -> Spans:
    """Spans of (start, size), numbered in the order of their starts."""
    rows = np.array(sorted(bounds), np.uint64).reshape(-1, 2)
    number = np.arange(len(rows), dtype=np.int32)
    return Spans(rows[:, 0], rows[:, 0] + rows[:, 1], number)
