# SPDX-License-Identifier: LGPL-2.1-or-later
"""Page frames that are memory, and their use by boot.

Mirrors ``struct resource`` in ``include/linux/ioport.h`` (/proc/iomem).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from drgn import FaultError, Object, Program
from drgn.helpers.linux.mm import follow_pfn

from ...arch.base import page_size
from ...problems import Code, Problem
from ...text import printable
from ..walk import Cut, ReadErrors, Walked, is_damage, structure, walk
from .sections import MemorySection

_RESOURCES = structure(
    "what boot made of memory (iomem_resource)", "resource", code=Code.UNREADABLE, most=1 << 16
)


@dataclass(frozen=True)
class Span:
    """Page frames from *start* up to *end*."""

    start: int
    end: int
    label: str


SYSTEM_RAM = "System RAM"
NO_MEMORY = "no memory"
KFENCE = "KFENCE pool"
SWIOTLB = "SWIOTLB (bounce buffers)"


@dataclass(frozen=True)
class BootMemory:
    """Uses of page frames since boot: spans with labels, inner ones after outer ones."""

    labels: list[str]
    """All labels; the first is for what is no memory."""
    spans: list[Span]
    problems: list[Problem]


def boot_memory(prog: Program, sections: list[MemorySection], each: int) -> BootMemory:
    """Labels of page frames; all are RAM where the kernel's tree of resources is unreadable.

    :param each: bytes of a ``struct page``
    """
    found = memory_map(prog)
    spans = found.found + memmap_spans(prog, sections, each)
    if found.problems:
        # Nothing tells the frames of memory from others then: all that are reserved count.
        spans.insert(0, Span(0, 1 << 52, SYSTEM_RAM))
    labels = list(dict.fromkeys([NO_MEMORY, SYSTEM_RAM, *(s.label for s in spans)]))
    return BootMemory(labels, spans, found.problems)


def memory_map(prog: Program) -> Walked[Span]:
    """System RAM and what lies in it, from the tree of resources; inner ones follow outer."""
    resources = walk(prog, _RESOURCES, lambda: _resources(prog), _resource)
    page = page_size(prog)
    out: list[Span] = []
    around: list[int] = []
    for name, start, end in resources:
        # What lies in memory, its range tells: an unreadable resource has no say in it.
        while around and start >= around[-1]:
            around.pop()
        is_ram = _is_ram(name)
        if is_ram or around:
            whole = (page.up(start), end >> page.shift)
            first, last = whole if is_ram else (start >> page.shift, page.up(end))
            if first < last:
                out.append(Span(first, last, SYSTEM_RAM if is_ram else name))
        if is_ram:
            around.append(end)
    return Walked(out, resources.problems)


def _is_ram(name: str) -> bool:
    """Memory that a driver adds is called ``System RAM (kmem)``, ``System RAM (virtio_mem)``:
    ``add_memory_driver_managed()`` in ``mm/memory_hotplug.c``.
    """
    return name == SYSTEM_RAM or name.startswith(f"{SYSTEM_RAM} (")


def _resources(prog: Program) -> Iterator[Object | Cut]:
    """Steps through the tree of resources, parents before children."""
    todo, seen = [prog["iomem_resource"].child.read_()], set()
    while todo:
        resource = todo.pop()
        address = resource.value_()
        if not address:
            continue
        try:
            if address in seen:
                raise ValueError("it goes in circles")
            seen.add(address)
            todo += [resource.sibling.read_(), resource.child.read_()]
        except Exception as e:
            if not is_damage(e):
                raise
            yield Cut(e)
        else:
            yield resource


def _resource(resource: Object) -> tuple[str, int, int]:
    """Name, start and end of a resource."""
    pointer = resource.name.value_()
    name = resource.prog_.read_c_string(pointer, max_size=64) if pointer else b""
    return printable(name), resource.start.value_(), resource.end.value_() + 1


def bounce_buffers(prog: Program) -> list[Span]:
    """Memory for devices that cannot address all: ``struct io_tlb_mem`` in
    ``include/linux/swiotlb.h``; in later kernels, its ``defpool``. None without.
    """
    try:
        place = prog.symbol("io_tlb_default_mem").address
        found = Object(prog, "struct io_tlb_mem", address=place)
        pool = found.defpool if found.type_.has_member("defpool") else found
        start, end = pool.start.value_(), pool.end.value_()
    except ReadErrors:
        return []
    shift = page_size(prog).shift
    return [Span(start >> shift, end >> shift, SWIOTLB)] if start < end else []


def kernel_image(prog: Program) -> tuple[int, int, int]:
    """Address, first page frame and number of page frames of the kernel image.

    :raises LookupError: if its symbols are missing
    :raises drgn.FaultError: if the page tables are unreadable
    """
    start, end, least = (prog.symbol(name).address for name in ("_text", "_end", "__bss_stop"))
    # With a vmlinux, drgn does not move _end as KASLR did.
    end = max(end, least)
    pfn = follow_pfn(prog["init_mm"].address_of_(), start).value_()
    return start, pfn, page_size(prog).up(end - start)


def memmap_spans(prog: Program, sections: list[MemorySection], each: int) -> list[Span]:
    """Page frames that hold the arrays of struct pages, ascending.

    They are mapped in large pieces; where they are not contiguous, halves are tried.

    :param each: bytes of a ``struct page``
    """
    page = page_size(prog).bytes
    try:
        mm = prog["init_mm"].address_of_()
    except LookupError:
        return []

    def pieces(start: int, end: int) -> Iterator[Span]:
        if start >= end:
            return
        try:
            first = follow_pfn(mm, start).value_()
            last = follow_pfn(mm, end - page).value_()
        except (FaultError, ValueError):
            first = last = -1
        pages = (end - start) // page
        if first >= 0 and last - first == pages - 1:
            yield Span(first, last + 1, "struct pages")
        elif pages > 1:
            middle = start + pages // 2 * page
            yield from pieces(start, middle)
            yield from pieces(middle, end)

    found: list[Span] = []
    for section in sections:
        with suppress(*ReadErrors):
            found += pieces(section.memmap, section.memmap + section.pages * each)
    found.sort(key=lambda span: span.start)
    merged: list[Span] = []
    for span in found:
        if merged and merged[-1].end >= span.start:
            last = merged.pop()
            span = Span(last.start, max(last.end, span.end), span.label)
        merged.append(span)
    return merged
