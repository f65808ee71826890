# SPDX-License-Identifier: LGPL-2.1-or-later
"""The memory at an address, its call site, and everything that it is a part of.

A handful of reads per address: the page frames around it, its slab, its vmalloc area.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import SupportsIndex, TypeAlias

import numpy as np
from drgn import Object, TypeKind
from drgn.helpers.linux.mm import follow_pfn

from ...problems import Code, Problem
from ...result import Result, Values, column
from ..machine.charged import NOT_CHARGED
from ..machine.modules import loaded_modules
from ..stacks.history import Event, Histories
from ..tags.references import EMPTY, NONE, STRAY
from ..tags.sites import Sites
from ..walk import ReadErrors
from .allocations import zones
from .page_types import PageKind
from .pagemap import PageMap
from .pages import Frames, loose_tails
from .vmalloc import symbol, vm_area

Query: TypeAlias = str | SupportsIndex | Object
"""An address, in text as :meth:`Locator.parse` has it, or as a number; of a pointer of drgn's, its
value; of an object in the kernel's memory, its place."""


class AddressError(ValueError):
    """The text names no address."""


def in_words(query: Query) -> str:
    """The text that stands for the same address.

    :raises AddressError: if there is none: a negative number, a value without an address
    """
    if isinstance(query, str):
        return query
    number = _place_of(query) if isinstance(query, Object) else operator.index(query)
    if number < 0:
        raise AddressError(f"{number} is not an address: it is negative.")
    return f"{number:#x}"


def _place_of(found: Object) -> int:
    type_ = found.type_
    while type_.kind == TypeKind.TYPEDEF:
        type_ = type_.type
    if type_.kind != TypeKind.POINTER and found.address_ is not None:
        return int(found.address_)
    try:
        return operator.index(found.value_())
    except TypeError:
        raise AddressError(
            f"A value of type {found.type_.type_name()} has no address: pass a pointer to it."
        ) from None


@dataclass
class Layer:
    """One thing that an address is in, from the innermost outwards."""

    what: str
    """In words: ``slab object``, ``free page (buddy allocator)`` ..."""
    start: int | None = None
    size: int | None = None
    """In bytes."""
    site: int | None = None
    """Row of its site; None if it has none."""
    evidence: str = ""
    """Source of the site, or the reason why there is none."""
    detail: dict[str, object] = field(default_factory=dict)
    history: list[Event] = field(default_factory=list)
    """Its allocation, and that it was freed, where the kernel kept that."""


@dataclass
class Location(Result):
    """All that is known of an address."""

    query: str
    address: int
    layers: list[Layer]
    alternative: Layer | None = None
    """The same number as a per-CPU pointer, where it is an address of the kernel image, too."""
    problems: list[Problem] = field(default_factory=list)
    """Unreadable memory: layers may be missing."""
    sites: Sites = field(default_factory=Sites.none)
    """Those that layers name by their rows."""

    def to_dict(self) -> dict[str, Values]:
        """The layers as columns, the innermost first; names are empty where there is no site."""
        layers, names = self.layers, ("what", "start", "size", "evidence", "detail")
        site = np.array([-1 if one.site is None else one.site for one in layers], np.int64)
        columns = {name: column([getattr(one, name) for one in layers]) for name in names}
        return columns | {"site": site} | self.sites.names(site)

    def in_short(self) -> str:
        """The innermost layer, and its site."""
        if not self.layers:
            return f"{self.query} = {self.address:#x}"
        inner = self.layers[0]
        of = "" if inner.site is None else f" of {self.sites.label(inner.site)}"
        return f"{self.query} = {self.address:#x} in {inner.what}{of}"


class Locator:
    """Answers for one dump.

    :raises LookupError: if the kernel's types lack what this needs
    """

    def __init__(self, pagemap: PageMap) -> None:
        kernel = pagemap.kernel
        self.memory, self.prog = kernel.memory, kernel.prog
        self.index, self.frames, self.slabs = pagemap.index, pagemap.frames, pagemap.slabs
        self._most_pages = pagemap.most_pages
        self.origins, self.tags, self._charges = pagemap.origins, pagemap.sites, pagemap.charges
        self.histories = Histories(pagemap.stacks, self.origins.code)
        self.direct_map, self.page, self._arch = kernel.direct_map, kernel.page, kernel.arch
        found = zones(self.prog)
        self._zones = found.found
        cpus = kernel.cpus
        self.cpus: list[tuple[int, int]] = list(
            zip(cpus.numbers, cpus.offsets.tolist(), strict=True)
        )
        """Number of each possible CPU, and the offset of its copies of per-CPU memory."""
        self._percpu, self._chunks = pagemap.percpu, pagemap.percpu_chunks
        self.problems: list[Problem] = [
            *self.slabs.problems,
            *self._percpu.problems,
            *found.problems,
        ]
        """Problems of all answers."""
        if self._image_range() is None:
            missing = "there is no symbol _text, or no __bss_stop"
            subject = "the kernel image cannot be told from other memory"
            self.problems.append(Problem(Code.LIMITED, subject, missing))

    def locate(self, query: Query) -> Location:
        """Answer for a number, ``pfn:N``, ``phys:N`` or a symbol, with or without ``+offset``.

        :raises AddressError: if it is none of these
        """
        query = in_words(query)
        address = self.parse(query)
        image = self._image_range()
        in_image = image is not None and image[0] <= address < image[1]
        per_cpu = self._pointer(address, None)
        inner = self._copy(address) if per_cpu is None or in_image else per_cpu
        layers = list(self._layers(address, inner))
        alternative = per_cpu if in_image else None
        problems = self.problems + self.frames.problems + self.histories.problems
        return Location(query, address, layers, alternative, problems)

    def parse(self, query: str) -> int:
        """The address that a query stands for.

        :raises AddressError: if it stands for none
        """
        found = re.fullmatch(r"(?:(pfn|phys):)?(0x[0-9a-fA-F]+|[0-9]+|[0-9a-fA-F]{9,16})", query)
        if found:
            text = found[2]
            base = 10 if text.isdecimal() and len(text) < 16 else 16
            number = int(text, 0 if text.startswith("0x") else base)
            if found[1] == "pfn":
                number = self.direct_map + number * self.page.bytes
            elif found[1] == "phys":
                number += self.direct_map
            if number < 1 << 64:
                return number if found[1] else self._arch.typed(number)
            raise AddressError(f"{query} is larger than an address.")
        name, plus, offset = query.partition("+")
        try:
            return int(self.prog.symbol(name).address) + (int(offset, 0) if plus else 0)
        except (LookupError, ValueError):
            raise AddressError(
                f"{query} is not an address: write a number, pfn:N, phys:N or a kernel symbol."
            ) from None

    def _layers(self, address: int, per_cpu: Layer | None) -> Iterator[Layer]:
        if per_cpu:
            yield per_cpu
        pfn = self._struct_page(address)
        if pfn is not None:
            yield Layer("struct page", address, self.frames.page_size, detail={"pfn": pfn})
            yield from self._page(pfn, None)
            return
        yield from self._image(address)
        pfn = (address - self.direct_map) // self.page.bytes
        if self._has(pfn):
            yield from self._page(pfn, address)
            return
        area = vm_area(self.prog, address)
        if area:
            detail: dict[str, object] = {"kind": area.kind, "pages": area.pages}
            if area.caller:
                detail["caller"] = self.origins.caller_text(area.caller)
            yield Layer("vmalloc area", area.start, area.size, detail=detail)
        try:
            pfn = int(follow_pfn(self.prog["init_mm"].address_of_(), address).value_())
        except ReadErrors:
            pfn = -1
        if self._has(pfn):
            yield from self._page(pfn, None)
        elif area is None and per_cpu is None:
            yield Layer("nothing", evidence="no kernel memory is mapped there")

    def _has(self, pfn: int) -> bool:
        return any(s.pfn <= pfn < s.pfn + s.pages for s in self.frames.sections)

    def _struct_page(self, address: int) -> int | None:
        size = self.frames.page_size
        for s in self.frames.sections:
            if s.memmap <= address < s.memmap + s.pages * size:
                return int(s.pfn + (address - s.memmap) // size)
        return None

    def _image_range(self) -> tuple[int, int] | None:
        """Start and end of the kernel image; None without symbols."""
        try:
            # Not up to _end: with a vmlinux, drgn does not move that symbol as KASLR did.
            start, end = (int(self.prog.symbol(n).address) for n in ("_text", "__bss_stop"))
        except LookupError:
            return None
        return start, end

    def _image(self, address: int) -> Iterator[Layer]:
        """Kernel image and modules."""
        start, end = self._image_range() or (0, 0)
        if start <= address < end:
            detail: dict[str, object] = {"symbol": symbol(self.prog, address)}
            unless = [f"unless it is a per-CPU pointer: {p}" for p in self._percpu.problems]
            evidence = unless[0] if unless else ""
            yield Layer("kernel image", start, end - start, evidence=evidence, detail=detail)
        for module in loaded_modules(self.prog).modules:
            try:
                regions = module.regions()
            except ReadErrors:
                continue
            for (base, size), section in zip(regions, module.region_names(), strict=False):
                if base <= address < base + size:
                    detail = {"module": module.name, "section": section}
                    yield Layer("module memory", base, size, detail=detail)

    def memory_at(self, address: int) -> list[Layer]:
        """The layers at an address that is no per-CPU pointer."""
        return list(self._layers(address, None))

    def percpu_at(self, pointer: int, cpu: int) -> Layer | None:
        """The per-CPU object or variable around a per-CPU pointer, in a CPU's copy."""
        return self._pointer(pointer, cpu) or self._variable(pointer, cpu)

    def _copy(self, address: int) -> Layer | None:
        """An address in a CPU's copy of per-CPU memory."""
        found = (self.percpu_at((address - at) % (1 << 64), cpu) for cpu, at in self.cpus)
        return next((layer for layer in found if layer), None)

    def _variable(self, pointer: int, cpu: int) -> Layer | None:
        """A CPU's copy of a static per-CPU variable, in the order of their symbols."""
        try:
            low, high = (self.prog.symbol(f"__per_cpu_{n}").address for n in ("start", "end"))
        except LookupError:
            return None
        if not low <= pointer < high:
            return None
        detail: dict[str, object] = {"symbol": symbol(self.prog, pointer), "cpu": cpu}
        return Layer("per-CPU variable", evidence="kept since boot", detail=detail)

    def _pointer(self, pointer: int, cpu: int | None) -> Layer | None:
        """A per-CPU pointer.

        :param cpu: the CPU in whose copy it was found, if it was
        """
        for chunk in self._chunks:
            if not chunk.start <= pointer < chunk.start + chunk.span:
                continue
            at = int(np.searchsorted(chunk.pointer, pointer, side="right")) - 1
            if at < 0 or not 0 <= pointer - int(chunk.pointer[at]) < int(chunk.size[at]):
                return Layer("free per-CPU memory", evidence="free memory has no site")
            start = int(chunk.pointer[at])
            layer = Layer("per-CPU object", start, int(chunk.size[at]))
            if cpu is not None:
                layer.detail["cpu"] = cpu
            self._charge(layer, int(self._charges.of_percpu(chunk)[at]))
            reason = "the first chunks have no references" if not chunk.has_vector else ""
            self._site(layer, int(chunk.site[at]), "reference of the per-CPU object", reason)
            return layer
        return None

    def _site(self, layer: Layer, row: int, evidence: str, none: str = "") -> None:
        if row >= self.tags:
            layer.site = row
            if self.tags:
                layer.evidence = none or "no reference"
        elif row >= 0:
            layer.site, layer.evidence = row, evidence
        elif row == EMPTY:
            layer.evidence = "deliberately not counted (CODETAG_EMPTY)"
        elif row == STRAY:
            layer.evidence = f"{evidence} points at no known tag"
        elif row == NONE:
            layer.evidence = none or "no reference"

    def _page(self, pfn: int, address: int | None) -> Iterator[Layer]:
        # The head of a gigantic page may be far away.
        first_pfn = self.frames.compound_head(pfn)
        frames = self.frames.around(first_pfn)
        if frames is None:
            return
        i = first_pfn - frames.section.pfn
        self.origins.mark_frames(frames)
        tails, first = loose_tails(frames, self._most_pages)
        where = np.flatnonzero(tails == i)
        inferred = len(where) > 0
        head = int(first[where[0]]) if inferred else int(frames.head[i])
        kind = PageKind(int(frames.kind[i]))
        guarded = self.frames.kfence[0] <= pfn < self.frames.kfence[1]
        if (kind == PageKind.SLAB or guarded) and address is not None:
            yield from self._object(frames, address)
        pages = 1 << int(frames.order[head])
        if inferred or (kind == PageKind.IN_USE and pages == 1):
            pages += int(np.count_nonzero(first == head))
        start = frames.section.pfn + head
        detail: dict[str, object] = {"pfn": pfn, "order": pages.bit_length() - 1}
        if pages > 1 and int(np.count_nonzero(first == head)):
            detail["order inferred"] = True
        if start != pfn:
            detail["first pfn"] = start
        for zone in self._zones:
            if zone.pfn <= pfn < zone.pfn + zone.spanned:
                detail |= {"node": zone.node, "zone": zone.name}
                break
        place, size = self.direct_map + start * self.page.bytes, pages * self.page.bytes
        layer = Layer(_NAMES[kind], place, size, detail=detail)
        self._charge(layer, int(self._charges.of_pages(frames, np.array([head]))[0]))
        if kind in (PageKind.FREE, PageKind.FREE_PCP):
            layer.evidence = "free memory has no site"
        else:
            evidence = "reference of the page"
            if inferred:
                evidence += " that its allocation starts with; the order is inferred"
            none = "kept since boot" if kind == PageKind.RESERVED else ""
            if guarded:
                layer.what, none = "page of KFENCE's pool", "kept since boot"
            self._site(layer, int(frames.site[head]), evidence, none)
        layer.history = self.histories.of_page(pfn)
        yield layer

    def _object(self, frames: Frames, address: int) -> Iterator[Layer]:
        found = self.slabs.find(frames, address)
        if found is None:
            return
        slabs, row, index = found
        cache = self.slabs.caches[int(slabs.cache[row])]
        size = cache.object_size if slabs.kfence[row] else cache.size
        offset = address - int(slabs.address[row]) - cache.offset
        if not 0 <= index < int(slabs.objects[row]) or (slabs.kfence[row] and offset >= size):
            what = "beside an object of KFENCE's" if slabs.kfence[row] else "end of a slab"
            yield Layer(what, detail={"cache": cache.name})
            return
        start = int(slabs.address[row]) + cache.offset + index * cache.size
        layer = Layer("slab object", start, size, detail={"cache": cache.name})
        layer.detail |= {"object": index, "offset": address - start}
        objects = self.slabs.objects_of(slabs, np.array([row]))
        self.origins.mark_objects(slabs, objects)
        site, reason = int(objects.site[index]), "free objects have no reference"
        layer.detail["state"] = "free" if site == NONE else "allocated"
        if slabs.kfence[row] and not slabs.vector[row]:
            reason = "KFENCE guards it, and gave it no reference"
        elif slabs.failed[row]:
            reason = "its extension vector could not be allocated"
        elif not slabs.vector[row]:
            reason = "its slab has no extension vector"
        elif not objects.readable[index]:
            reason = "its reference is not in the dump"
        elif site != NONE:
            reason = "no reference"
        self._site(layer, site, "reference of the object", reason)
        if site != NONE:
            self._charge(layer, int(self._charges.of_objects(slabs, objects)[index]))
        if not slabs.kfence[row]:
            cache_row = int(slabs.cache[row])
            layer.history = self.histories.of_object(start, cache_row, free=site == NONE)
        yield layer

    def _charge(self, layer: Layer, row: int) -> None:
        """Name the memory cgroup that a layer is charged to, if it is charged to one."""
        if row != NOT_CHARGED:
            layer.detail["memory cgroup"] = self._charges.cgroups.name(row)


_NAMES = {
    PageKind.IN_USE: "page",
    PageKind.FREE: "free page (buddy allocator)",
    PageKind.FREE_PCP: "free page (per-CPU list)",
    PageKind.RESERVED: "boot memory (reserved page)",
    PageKind.SLAB: "slab",
    PageKind.PAGE_TABLE: "page table",
    PageKind.HUGETLB: "huge page",
    PageKind.ANONYMOUS: "anonymous page",
    PageKind.CACHE: "page cache",
    PageKind.SHMEM: "shared memory page",
    PageKind.OFFLINE: "offline page",
    PageKind.UNREADABLE: "page whose struct page is not in the dump",
    PageKind.LARGE_KMALLOC: "large kmalloc",
    PageKind.POISONED: "poisoned page (hardware errors)",
}
