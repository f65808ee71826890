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

from ...text import printable
from ..walk import ReadErrors
from .sections import Section

_MAX_RESOURCES = 1 << 16
_PAGE = 4096


@dataclass(frozen=True)
class Span:
    """Page frames from *start* up to *end*."""

    start: int
    end: int
    label: str


SYSTEM_RAM = "System RAM"


def memory_map(prog: Program) -> list[Span]:
    """System RAM and what lies in it, from the tree of resources; inner ones follow outer.

    :raises drgn.FaultError: if the tree is unreadable
    """
    out: list[Span] = []
    count = 0

    def walk(resource: Object, inside: bool) -> None:
        nonlocal count
        child = resource.child.read_()
        while child:
            count += 1
            if count > _MAX_RESOURCES:
                raise ValueError("the tree of resources does not end")
            pointer = child.name.value_()
            name = printable(prog.read_c_string(pointer, max_size=64)) if pointer else ""
            is_ram = name == SYSTEM_RAM
            if is_ram or inside:
                start, end = child.start.value_(), child.end.value_() + 1
                first, last = (-(-start // _PAGE), end // _PAGE) if is_ram else _whole(start, end)
                if first < last:
                    out.append(Span(first, last, name))
            walk(child, is_ram or inside)
            child = child.sibling.read_()

    walk(prog["iomem_resource"], False)
    return out


def _whole(start: int, end: int) -> tuple[int, int]:
    """Page frames that a resource touches."""
    return start // _PAGE, -(-end // _PAGE)


def kernel_image(prog: Program) -> tuple[int, int, int]:
    """Address, first page frame and number of page frames of the kernel image.

    :raises LookupError: if its symbols are missing
    :raises drgn.FaultError: if the page tables are unreadable
    """
    start, end = (prog.symbol(name).address for name in ("_text", "_end"))
    pfn = follow_pfn(prog["init_mm"].address_of_(), start).value_()
    return start, pfn, (end - start + _PAGE - 1) // _PAGE


def memmap_spans(prog: Program, sections: list[Section], page_size: int) -> list[Span]:
    """Page frames that hold the arrays of struct pages, ascending.

    They are mapped in large pieces; where they are not contiguous, halves are tried.
    """
    mm = prog["init_mm"].address_of_()

    def pieces(start: int, end: int) -> Iterator[Span]:
        if start >= end:
            return
        try:
            first = follow_pfn(mm, start).value_()
            last = follow_pfn(mm, end - _PAGE).value_()
        except (FaultError, ValueError):
            first = last = -1
        pages = (end - start) // _PAGE
        if first >= 0 and last - first == pages - 1:
            yield Span(first, last + 1, "struct pages")
        elif pages > 1:
            middle = start + pages // 2 * _PAGE
            yield from pieces(start, middle)
            yield from pieces(middle, end)

    found: list[Span] = []
    for section in sections:
        with suppress(*ReadErrors):
            found += pieces(section.memmap, section.memmap + section.pages * page_size)
    found.sort(key=lambda span: span.start)
    merged: list[Span] = []
    for span in found:
        if merged and merged[-1].end >= span.start:
            last = merged.pop()
            span = Span(last.start, max(last.end, span.end), span.label)
        merged.append(span)
    return merged
