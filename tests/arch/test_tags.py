# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pointers with tags, as KASAN has them: every answer is that without.

The dump is one without KASAN whose memory is read with a tag in each pointer at memory that the
page allocator or vmalloc() has handed out. Two pointers at the same object have the same tag, as in
a kernel; those that stand for boot memory, the image, stacks and modules have none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drgn import Program

import allocdump
from allocdump.analysis.report import Report
from allocdump.arch import aarch64
from allocdump.arrays import U64
from allocdump.drgn.helpers import (
    address_alloc_tag,
    slab_object_alloc_tag,
    vmalloc_alloc_tag,
)
from allocdump.formats.records import triage
from allocdump.kernel.mm.page_types import PageKind
from allocdump.result import Result
from allocdump.session.session import Session

from ..dumpdata import core, open_core, recorded

DUMP = core("arm64-reach")
UNTAGGED = {
    "alloc_thread_stack_node",
    "arch_alloc_vmap_stack",
    "execmem_vmalloc",
    "vm_module_tags_populate",
}
"""What takes no tags for its areas."""
TOP = np.uint64(0xFF << 56)


class Tagger:
    """Memory of a dump with tags in pointers."""

    def __init__(self, path: Path) -> None:
        plain = open_core(path)
        self.prog = Program()
        self.prog.set_core_dump(path)
        self.page, self.direct_map = plain.kernel.page, plain.kernel.direct_map
        pages = plain.pagemap.frames.sections[-1]
        self.frames = np.zeros(pages.pfn + pages.pages, np.bool_)
        for part in plain.pagemap:
            frames = part.frames
            boot = np.isin(frames.kind, (PageKind.RESERVED, PageKind.UNREADABLE))
            self.frames[frames.pfn[~boot]] = True
        areas = [
            use.area
            for use in plain.vmalloc_areas()
            if use.area.kind == "vmalloc" and plain.sites.function[use.site] not in UNTAGGED
        ]
        assert len(areas) > 5
        self.starts = np.array([a.start for a in areas], np.uint64)
        self.ends = np.array([a.start + a.size for a in areas], np.uint64)
        # va_start and va_end are numbers.
        numbers = np.array([use.area.vmap_area for use in plain.vmalloc_areas()], np.uint64)
        self.numbers = np.concatenate([numbers, numbers + np.uint64(8)])

    def tagged(self, words: U64) -> U64:
        """The words with tags in those that are pointers."""
        frame = (words - np.uint64(self.direct_map)) >> np.uint64(self.page.shift)
        known = frame < np.uint64(len(self.frames))
        known[known] = self.frames[frame[known].astype(np.int64)]
        area = np.searchsorted(self.starts, words, side="right") - 1
        inside = (area >= 0) & (words < self.ends[area])
        tag = np.where(known, frame * np.uint64(7), area.astype(np.uint64) * np.uint64(5))
        tag = np.uint64(0xF0) | (tag & np.uint64(0xF))
        return np.where(known | inside, words & ~TOP | tag << np.uint64(56), words)

    def read(self, address: int, count: int, offset: int, physical: bool) -> bytes:
        start, end = address & ~7, (address + count + 7) & ~7
        words = np.frombuffer(self.prog.read(start, end - start), np.uint64)
        at = np.uint64(start) + np.arange(len(words), dtype=np.uint64) * np.uint64(8)
        tagged = np.where(np.isin(at, self.numbers), words, self.tagged(words))
        return tagged.tobytes()[address - start :][:count]


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger(DUMP)


@pytest.fixture
def dump(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(aarch64, "_has_tags", lambda prog: True)
    dump = allocdump.open(DUMP)
    dump.prog.add_memory_segment(0, (1 << 64) - 1, tagger.read, False)
    return dump


def same(one: Result | Report, other: Result | Report) -> None:
    first, second = one.to_dict(), other.to_dict()
    assert first.keys() == second.keys()
    for name, column in first.items():
        assert list(column) == list(second[name]), name


def test_every_answer_is_the_same(dump: Session, tagger: Tagger) -> None:
    plain = open_core(DUMP)
    assert dump.report().warnings == plain.report().warnings
    same(dump.report().sites, plain.report().sites)
    same(dump.audit(), plain.audit())
    same(dump.usage(), plain.usage())
    same(dump.vmalloc_areas(), plain.vmalloc_areas())
    same(dump.pages().whole(), plain.pages().whole())
    same(dump.objects().whole(), plain.objects().whole())
    leaks = plain.leaks()
    same(dump.leaks(), leaks)
    assert len(leaks.lost)
    assert dump.leaks().reasons == leaks.reasons == []
    assert triage.as_json(dump.triage()) == triage.as_json(plain.triage())
    address = plain.graph().nodes.address[leaks.node[:1]]
    with_tag = tagger.tagged(address)
    assert with_tag != address
    for query in (int(address[0]), int(with_tag[0])):
        found = dump.whois(query)
        assert str(found.layers) == str(plain.whois(int(address[0])).layers)


def test_helpers_take_addresses_with_tags() -> None:
    """As they are in the kernel's structures."""
    prog, seen = open_core(DUMP).prog, set()
    for kind, address, *_ in recorded(DUMP):
        if kind in ("kmalloc", "vmalloc") and kind not in seen:
            one = vmalloc_alloc_tag if kind == "vmalloc" else slab_object_alloc_tag
            tagged = address & ~int(TOP) | 0xF4 << 56
            assert one(prog, address)
            assert one(prog, tagged) == one(prog, address)
            assert address_alloc_tag(prog, tagged) == one(prog, address)
            seen.add(kind)
    assert len(seen) == 2
