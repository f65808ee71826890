# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is at an address, where a dump is damaged or large pages are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drgn import Object, sizeof
from drgn.helpers.linux.percpu import per_cpu

import allocdump
from allocdump.errors import DamagedError, ProfilingError, TypesError
from allocdump.kernel.mm.page_types import PageKind
from allocdump.kernel.mm.whois import AddressError
from allocdump.session import Session

from ...dumpdata import CORES, core, exclude, name, open_core, overwrite, place, run
from ..walks import POISON, percpu_chunks


@pytest.fixture
def dump() -> Session:
    return allocdump.open(core("7.2-quiet"), debug_info="btf")


def percpu_object(dump: Session) -> tuple[int, int]:
    """The pointer to a per-CPU object with a site, and the offset of the second CPU."""
    batch = next(b for b in dump.objects() if (b.cache < 0).any())
    pointer = int(batch.address[batch.cache < 0][0])
    return pointer, dump.prog["__per_cpu_offset"][1].value_()


def test_cpus_have_their_own_numbers(dump: Session) -> None:
    """Possible CPUs may have gaps."""
    dump.kernel.cpus = replace(dump.kernel.cpus, numbers=(0, 5))
    pointer, offset = percpu_object(dump)
    first = dump.whois(f"{(pointer + offset) % (1 << 64):#x}").layers[0]
    assert (first.what, first.detail["cpu"]) == ("per-CPU object", 5)


def test_addresses_are_text_numbers_or_objects() -> None:
    dump = open_core(core("7.2-quiet"))
    prog = dump.prog
    task = prog["init_task"]
    address = place(task)
    same = (address, np.uint64(address), task, task.address_of_(), task.address_of_().read_())
    for query in (*same, task.thread_info, Object(prog, "unsigned long", address)):
        found = dump.whois(query)
        assert (found.address, found.query) == (address, f"{address:#x}")
        assert found.layers == dump.whois("init_task").layers
    # A pointer in memory is what it points at.
    assert dump.whois(prog["init_task"].nsproxy).address == prog["init_task"].nsproxy.value_()
    for query in (-1, Object(prog, "struct list_head", {})):
        with pytest.raises(AddressError):
            dump.whois(query)


def test_paths_take_numbers_and_objects() -> None:
    dump = open_core(core("7.2-quiet"))
    address = next(int(b.address[0]) for b in dump.objects() if (b.cache >= 0).all())
    by_text = dump.paths(f"{address:#x}")
    assert by_text.node is not None
    for query in (address, Object(dump.prog, "void *", address)):
        assert dump.paths(query) == by_text


def in_image(dump: Session, number: int) -> bool:
    start, end = (dump.prog.symbol(n).address for n in ("_text", "__bss_stop"))
    return bool(start <= number < end)


@pytest.mark.parametrize("path", CORES, ids=name)
def test_an_address_of_the_image_is_no_per_cpu_object(path: Path) -> None:
    """Only the number could be a per-CPU pointer, too."""
    try:
        dump = open_core(path)
        dump.report()
    except (ProfilingError, TypesError):
        return
    both = 0
    for chunk in dump._locator._chunks:
        for pointer in chunk.pointer[:3].tolist():
            found = dump.whois(f"{pointer:#x}")
            if in_image(dump, pointer):
                both += 1
                assert found.layers[0].what == "kernel image"
                assert found.alternative is not None
                assert found.alternative.what == "per-CPU object"
                assert found.alternative.start == pointer
            else:
                assert found.layers[0].what == "per-CPU object"
                assert found.alternative is None
    # Per-CPU variables of x86 were linked at zero before 6.15.
    assert bool(both) == in_image(dump, dump.prog.symbol("__per_cpu_start").address)
    for symbol in ("jiffies", "init_task"):
        assert dump.whois(symbol).layers[0].what == "kernel image"


def test_the_other_reading_is_one_line() -> None:
    dump = open_core(core("7.2-quiet"))
    pointer = next(
        p for c in dump._locator._chunks for p in c.pointer.tolist() if in_image(dump, p)
    )
    path, query = str(core("7.2-quiet")), f"{pointer:#x}"
    text = run("whois", path, query).stdout.splitlines()
    assert text[1].startswith("  kernel image")
    assert text[-1].startswith(f"  or, as a per-CPU pointer: per-CPU object {query}, ")
    assert text[-1].endswith("; no site: the first chunks have no references")
    both = json.loads(run("whois", path, query, "-f", "json").stdout)
    assert (both["alternative"]["what"], both["alternative"]["start"]) == ("per-CPU object", query)
    assert json.loads(run("whois", path, "pfn:2880", "-f", "json").stdout)["alternative"] is None


def test_a_damaged_chunk_is_told(dump: Session) -> None:
    """Nothing says that an address in the kernel image is no per-CPU pointer then."""
    chunk = percpu_chunks(dump.prog)[0]
    overwrite(dump.prog, place(chunk.alloc_map), POISON.to_bytes(8, "little"))
    found = dump.whois("jiffies")
    assert [str(p) for p in found.problems] == ["1 per-CPU chunk is unreadable"]
    image = next(layer for layer in found.layers if layer.what == "kernel image")
    assert image.evidence == "unless it is a per-CPU pointer: 1 per-CPU chunk is unreadable"
    assert dump.whois("phys:0x2000000").problems


def test_nothing_is_told_of_a_whole_dump() -> None:
    found = open_core(core("7.2-quiet")).whois("jiffies")
    image = next(layer for layer in found.layers if layer.what == "kernel image")
    assert (found.problems, image.evidence) == ([], "")


@pytest.mark.parametrize("mask", [False, True])
def test_deep_in_a_gigantic_page(dump: Session, mask: bool) -> None:
    """Its head is further away than the largest block of the buddy allocator.

    :param mask: compound_info has a mask: Linux 7.1 and later with small struct pages for hugetlb
    """
    frames = dump._locator.frames
    section = frames.sections[0]
    head = 8192
    deep = head + 4000
    page = dump.prog.type("struct page")
    size = sizeof(page)
    name = "compound_info" if page.has_member("compound_info") else "compound_head"
    start = section.memmap + (head - section.pfn) * size
    at = section.memmap + (deep - section.pfn) * size + page.member(name).offset
    # Struct pages of 64 bytes: 4,096 of them are aligned to their size.
    aligned = start & -(8192 * size)
    head = section.pfn + (aligned - section.memmap) // size if mask else head
    value = (-(8192 * size) if mask else start) | 1
    overwrite(dump.prog, at, (value % (1 << 64)).to_bytes(8, "little"))
    assert dump._locator.frames.compound_head(deep) == head
    (found,) = [x for x in dump.whois(f"pfn:{deep}").layers if "pfn" in x.detail]
    assert (found.detail["pfn"], found.detail["first pfn"]) == (deep, head)


def test_heads_of_ordinary_pages() -> None:
    frames = open_core(core("7.2-quiet"))._locator.frames
    heads = 0
    for found in frames:
        compound = np.flatnonzero((found.order > 0) & (found.kind != PageKind.FREE))[:3]
        for head in compound.tolist():
            pfn = found.section.pfn + head
            tails = range(1 << int(found.order[head]))
            assert {frames.compound_head(pfn + i) for i in tails} == {pfn}
            heads += 1
    assert heads > 2


@pytest.mark.parametrize("command", ["pages", "objects", "vmalloc_areas", "usage", "graph"])
def test_without_what_describes_memory(dump: Session, command: str) -> None:
    """One sentence, and one exit code, whatever is asked."""
    dump.report()
    type_ = dump.prog.struct_type("mem_section", 8, ())
    dump.prog.register_type_finder(
        "broken",
        lambda prog, kinds, name, filename: type_ if name == "mem_section" else None,
        enable_index=0,
    )
    with pytest.raises(DamagedError, match="what describes memory") as caught:
        list(getattr(dump, command)())
    assert caught.value.exit_code == 6


def test_without_zones(dump: Session) -> None:
    exclude(dump.prog, dump.prog.symbol("node_data").address)
    with pytest.raises(DamagedError, match="zones are unreadable"):
        dump.zones  # noqa: B018


def test_sections_that_are_not_online(dump: Session) -> None:
    """Their struct pages may be anything."""
    before = dump._locator.frames.sections
    table = dump.prog["mem_section"].value_()
    root = dump.prog.read_u64(table)
    size = sizeof(dump.prog.type("struct mem_section"))
    per_section = before[0].pages
    at = root + size * (before[0].pfn // per_section)
    flags = dump.prog.read_u64(at)
    assert flags & 4
    overwrite(dump.prog, at, (flags & ~4).to_bytes(8, "little"))
    del dump.__dict__["_locator"], dump.__dict__["pagemap"]
    assert dump._locator.frames.sections == before[1:]


@pytest.mark.parametrize("command", ["pages", "objects"])
def test_listings_tell_what_is_missing(dump: Session, command: str) -> None:
    """When all has been read."""
    dump.report()
    chunk = percpu_chunks(dump.prog)[0]
    overwrite(dump.prog, place(chunk.alloc_map), POISON.to_bytes(8, "little"))
    pageset = next(z for z in dump.prog["node_data"][0].node_zones if z.present_pages)
    overwrite(dump.prog, place(pageset.per_cpu_pageset), POISON.to_bytes(8, "little"))
    found = getattr(dump, command)()
    assert not found.problems
    said = [str(problem) for _ in [list(found)] for problem in found.problems]
    assert ("1 per-CPU chunk is unreadable" in said) == (command == "objects")
    assert any("per-CPU lists of free pages are unreadable" in text for text in said)


@pytest.mark.parametrize("cpu", [0, 1])
def test_a_cpus_copy_of_a_variable(dump: Session, cpu: int) -> None:
    queue = per_cpu(dump.prog["runqueues"], cpu)
    assert queue.address_ is not None
    layer = dump.whois(f"{queue.address_ + 8:#x}").layers[0]
    assert layer.what == "per-CPU variable"
    assert layer.detail == {"symbol": "runqueues+0x8", "cpu": cpu}
    assert layer.site is None
