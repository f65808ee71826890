# SPDX-License-Identifier: LGPL-2.1-or-later
"""Numbers that are pointers to the memory at an address, in all ways in which the kernel points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ..arrays import U64, Bool
from ..kernel.mm.whois import Layer, Location, Locator
from .symbols import Named, Symbols

_SMALL = 1 << 32
"""Per-CPU pointers below this may be anything: until Linux 6.15, x86-64's began at zero."""
_LOW = 1 << 20
"""Physical addresses below are counts and sizes rather than addresses."""


class Way(StrEnum):
    """Ways of pointing."""

    ADDRESS = "address"
    PAGE = "struct page"
    """Address of the struct page of the memory's page."""
    PERCPU = "per-CPU pointer"
    COPY = "address of a CPU's copy"
    PHYSICAL = "physical address"
    ENTRY = "page table entry"


@dataclass(frozen=True)
class Range:
    """Numbers from *start* up to *end* that point into a target in one way."""

    start: int
    end: int
    way: Way
    offset: int = 0
    """Offset in the target of what *start* points at."""
    unit: int = 1
    """Bytes of the target for each *step* bytes of the range."""
    step: int = 1

    def holds(self, words: U64) -> Bool:
        """Mark the numbers that are in the range; physical addresses are those of whole pages."""
        inside = words - np.uint64(self.start) < np.uint64(self.end - self.start)
        if self.way is Way.PHYSICAL:
            inside &= words % np.uint64(self.step) == 0
        return np.asarray(inside)

    def offset_of(self, word: int) -> int:
        """Offset in the target of what a number points at."""
        return self.offset + (word - self.start) // self.step * self.unit


@dataclass(frozen=True)
class Target:
    """The innermost thing around an address, and all numbers that point into it."""

    query: str
    address: int
    layer: Layer
    """The thing; one byte at the address itself, where nothing tells what is there."""
    ranges: tuple[Range, ...]
    name: Named | None = None
    """The variable or function that it is."""


class Targets:
    """Makes targets of answers of whois."""

    def __init__(self, locator: Locator, symbols: Symbols) -> None:
        self._locator, self._symbols = locator, symbols
        self._direct_map, self._page = locator.direct_map, locator.page

    def of(self, found: Location) -> Target:
        """The target that an answer is about."""
        layers = found.layers or [Layer("nothing")]
        inner = layers[0]
        if inner.what == "struct page" and len(layers) > 1:
            inner = layers[1]
        name = self._name(inner, found.address)
        if name:
            inner = Layer(inner.what, name.start, name.size, detail=inner.detail)
        elif inner.start is None or inner.size is None:
            inner = Layer(inner.what, found.address, 1, evidence=inner.evidence)
        assert inner.start is not None
        assert inner.size is not None
        ranges = self._ranges(found, inner, inner.start, inner.size)
        return Target(found.query, found.address, inner, tuple(ranges), name)

    def _name(self, inner: Layer, address: int) -> Named | None:
        """The variable or function around an address of the kernel's own memory."""
        if inner.what == "per-CPU variable":
            cpu = inner.detail["cpu"]
            offset = next(o for number, o in self._locator.cpus if number == cpu)
            return self._symbols.of_kernel((address - offset) % (1 << 64))
        if inner.what == "kernel image":
            return self._symbols.of_kernel(address)
        if inner.what == "module memory":
            return self._symbols.of_module(address)
        return None

    def _ranges(self, found: Location, inner: Layer, start: int, size: int) -> Iterator[Range]:
        if inner.what.startswith("per-CPU "):
            if start >= _SMALL:
                yield Range(start, start + size, Way.PERCPU)
            for _, offset in self._locator.cpus:
                copy = (start + offset) % (1 << 64)
                yield Range(copy, copy + size, Way.COPY)
        elif "pfn" in inner.detail:
            yield from self._of_pages(inner.what != "slab", start, size, 0)
        else:
            yield Range(start, start + size, Way.ADDRESS)
        if inner.what == "vmalloc area" and len(found.layers) > 1:
            # Its page at this address is pointed at in ways of its own.
            pfn = found.layers[1].detail["pfn"]
            assert isinstance(pfn, int)
            size_ = self._page.bytes
            page, offset = self._direct_map + pfn * size_, (found.address - start) & -size_
            mapped = (Range(start, start + size, Way.ADDRESS),)
            yield from (r for r in self._of_pages(True, page, size_, offset) if r not in mapped)

    def _of_pages(self, alone: bool, start: int, size: int, offset: int) -> Iterator[Range]:
        """Ways to point at pages.

        :param alone: False for those of a slab, whose objects are not meant by it
        :param offset: of the first page in the target
        """
        shift, bytes_ = self._page.shift, self._page.bytes
        pfn, pages = (start - self._direct_map) >> shift, size >> shift
        frames = self._locator.frames
        for section in frames.sections:
            first, last = max(pfn, section.pfn), min(pfn + pages, section.pfn + section.pages)
            if first < last:
                low, high = (
                    section.memmap + (n - section.pfn) * frames.page_size for n in (first, last)
                )
                at = offset + (first - pfn) * bytes_
                yield Range(low, high, Way.PAGE, at, bytes_, frames.page_size)
        if not alone:
            return
        yield Range(start, start + size, Way.ADDRESS, offset)
        physical = pfn << shift
        if physical >= _LOW:
            yield Range(physical, physical + size, Way.PHYSICAL, offset, bytes_, bytes_)
        yield Range(physical, physical + size, Way.ENTRY, offset)
        mapped = self._locator.origins.pages_of_areas
        for row in mapped.rows_of(pfn, pfn + pages):
            address = int(mapped.virtual[row])
            at = offset + (int(mapped.pfn[row]) - pfn) * bytes_
            yield Range(address, address + bytes_, Way.ADDRESS, at)
