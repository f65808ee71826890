# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything that points at something, against a search of all memory, word by word."""

from __future__ import annotations

import random
from collections import defaultdict

import numpy as np
import pytest
from drgn.helpers.linux.mm import follow_pfn, pfn_to_page
from drgn.helpers.linux.pid import find_task

from allocdump.analysis.referrers import Referrer, Referrers
from allocdump.graph.pointer_grep import _Union
from allocdump.graph.targets import Range, Way
from allocdump.kernel.mm.page_types import PageKind
from allocdump.session import Session

from ..dumpdata import core, open_core, recorded

pytestmark = pytest.mark.xdist_group("referrers")
FREE = (PageKind.FREE, PageKind.FREE_PCP)


def physical(dump: Session, address: int) -> int:
    """As the kernel's page tables have it."""
    offset = address - dump.kernel.direct_map
    if 0 <= offset < 1 << 40:
        return offset
    pfn = follow_pfn(dump.prog["init_mm"].address_of_(), address)
    return int(pfn.value_()) * 4096 + address % 4096


def all_words(dump: Session, wanted: list[int]) -> dict[int, set[int]]:
    """Physical addresses of all words in memory that is not free, by their value."""
    found = defaultdict(set)
    for part in dump.pagemap:
        frames = part.frames
        address = dump.kernel.direct_map + frames.section.pfn * 4096
        data, _ = dump.kernel.memory.read(address, len(frames.raw) * 4096)
        words = data.view(np.uint64)
        at = np.flatnonzero(np.isin(words, np.array(wanted, np.uint64)))
        for i in at[~np.isin(frames.kind[at // 512], FREE)].tolist():
            found[int(words[i])].add(frames.section.pfn * 4096 + i * 8)
    return found


@pytest.mark.parametrize("folder", ["7.2-quiet", "stock-6.12-quiet"])
def test_every_word_is_found(folder: str) -> None:
    dump = open_core(core(folder))
    addresses = [int(a) for b in dump.objects() for a in b.address[b.cache >= 0]]
    some = random.Random(1).sample(addresses, 40)
    truth = all_words(dump, some)
    seen = 0
    for address, answer in zip(some, dump.all_referrers(some, limit=10**6), strict=True):
        words = (r for r in answer.found if r.word == address and r.address is not None)
        places = {physical(dump, r.address) for r in words if r.address is not None}
        assert places == truth[address]
        assert answer.count == len(answer.found)
        seen += len(places)
    assert seen > 30


@pytest.fixture(scope="module")
def reach() -> dict[str, Referrers]:
    """Of one allocation of each kind and case that ``reach`` recorded."""
    dump = open_core(core("7.2-reach"))
    queries: dict[str, int] = {}
    for kind, address, *_, module in recorded(core("7.2-reach")):
        if module != "reach":
            continue
        layers = dump.whois(address).layers
        site = next((x.site for x in layers if x.site is not None), None)
        if site is not None:
            queries.setdefault(f"{dump.origins.function[site]} {kind}", address)
    found = dump.all_referrers(list(queries.values()), limit=1000)
    return dict(zip(queries, found, strict=True))


def names(answer: Referrers) -> set[tuple[str, str, str]]:
    """(kind of holder, its name, way)."""
    keys = ("symbol", "cache", "task", "caller")
    return {
        (
            r.holder.what,
            next((str(r.holder.detail[k]) for k in keys if k in r.holder.detail), ""),
            r.way,
        )
        for r in answer.found
    }


def test_holders_are_those_that_the_module_made(reach: dict[str, Referrers]) -> None:
    assert ("variable", "held_area", "address") in names(reach["hold_in_vmalloc vmalloc"])
    assert ("variable", "held_page", "struct page") in names(reach["hold_in_page page"])
    assert ("variable", "held_percpu", "per-CPU pointer") in names(reach["hold_in_percpu percpu"])
    assert ("variable", "held_tagged", "address") in names(reach["hold_tagged kmalloc"])
    nodes = names(reach["hold_in_xarray kmalloc"])
    assert ("slab object", "radix_tree_node", "address") in nodes
    stack = [r for r in reach["hold_on_stack kmalloc"].found if r.holder.what == "stack"]
    assert any(
        str(r.holder.detail["task"]).startswith("reach/stack")
        and r.holder.detail["state"] == "in use"
        for r in stack
    )


def test_members_have_names(reach: dict[str, Referrers]) -> None:
    (slot,) = (
        r
        for r in reach["hold_in_xarray kmalloc"].found
        if r.holder.detail.get("cache") == "radix_tree_node"
    )
    assert slot.member.startswith("slots[")
    assert slot.into == 0
    assert slot.way is Way.ADDRESS


def test_lost_memory_has_no_holder(reach: dict[str, Referrers]) -> None:
    lost = [name for name in reach if name.startswith("lose_")]
    assert len(lost) > 5
    for name in lost:
        held = [r for r in reach[name].found if r.holder.what in ("variable", "per-CPU variable")]
        assert not held


def test_entries_of_page_tables() -> None:
    """The task's own page tables lead to the page, by drgn's walk of them."""
    dump = open_core(core("7.2-quiet"))
    frames = [part.frames for part in dump.pagemap]
    pfns = [
        f.section.pfn + int(i) for f in frames for i in np.flatnonzero(f.kind == PageKind.ANONYMOUS)
    ]
    some, seen = pfns[:20], set()
    answers = dump.all_referrers([f"pfn:{pfn}" for pfn in some])
    for pfn, answer in zip(some, answers, strict=True):
        for detail in (r.holder.detail for r in answer.found if r.way is Way.ENTRY):
            task = str(detail["task"])
            # What boot freed of the kernel image is still mapped there.
            mm = dump.prog["init_mm"].address_of_()
            if task != "kernel":
                mm = find_task(dump.prog, int(task.split("[")[1].rstrip("]"))).mm
                seen.add(pfn)
            assert follow_pfn(mm, int(str(detail["maps"]), 16)).value_() == pfn
    mapped = [pfn_to_page(dump.prog, pfn)._mapcount.counter.value_() >= 0 for pfn in some]
    assert seen == {pfn for pfn, is_mapped in zip(some, mapped, strict=True) if is_mapped}
    assert len(seen) > 10


def test_instructions_and_registers() -> None:
    """What only code holds, and what a CPU was at."""
    dump = open_core(core("7.2-quiet"))
    task = dump.prog.crashed_thread().object
    by_task = dump.referrers(task, limit=1000)
    registers = [r for r in by_task.found if r.holder.what == "register"]
    assert all(r.address is None for r in registers)
    hashed = dump.prog.read_u64(dump.prog.symbol("dentry_hashtable").address)
    found = dump.referrers(hashed, limit=1000)
    assert {"instruction", "variable"} <= {r.holder.what for r in found.found}


def test_the_list_is_bounded_and_the_sum_is_whole() -> None:
    dump = open_core(core("7.2-quiet"))
    every, some = dump.referrers("init_task", limit=10**6), dump.referrers("init_task", limit=5)
    assert every.others == []
    assert some.count == every.count == len(every.found) > 20
    assert some.found == every.found[:5]
    assert sum(one.count for one in some.others) == some.count - 5
    assert some.itself == sum(r.member.startswith("init_task") for r in every.found)


def test_numbers_of_nothing() -> None:
    """Any number can be looked for."""
    dump = open_core(core("7.2-quiet"))
    answer = dump.referrers(0xDEAD_0000_0000_0122)  # LIST_POISON2
    assert answer.count > 100
    assert len(answer.found) == 50
    assert {r.word for r in answer.found} == {0xDEAD_0000_0000_0122}


def test_words_are_inside_their_holders() -> None:
    """Memory of a module that no symbol names begins in the module's own mapping."""
    found = open_core(core("7.3-debug")).referrers(0, limit=9).found
    inside = [
        (r.holder.what, r.address - r.holder.start, r.offset, r.holder.size)
        for r in found
        if r.address is not None and r.holder.start is not None and r.holder.size is not None
    ]
    assert "module memory" in {what for what, *_ in inside}
    assert all(at == offset and 0 <= offset < size for _, at, offset, size in inside)


def test_offsets_in_targets() -> None:
    pages = Range(0x1000, 0x1080, Way.PAGE, 0x2000, 4096, 64)
    assert [pages.offset_of(w) for w in (0x1000, 0x103F, 0x1040)] == [0x2000, 0x2000, 0x3000]
    frame = Range(0x20_0000, 0x20_2000, Way.PHYSICAL, 0x3000, 4096, 4096)
    words = np.array([0x1F_F000, 0x20_0000, 0x20_0008, 0x20_1000, 0x20_2000], np.uint64)
    assert frame.holds(words).tolist() == [False, True, False, True, False]
    assert [frame.offset_of(w) for w in (0x20_0000, 0x20_1000)] == [0x3000, 0x4000]


@pytest.mark.parametrize("count", [1, 20, 200])
def test_unions_of_ranges(count: int) -> None:
    """Few ranges are looked at one after the other, many by bisection."""
    ranges = [Range(i * 100, i * 100 + 10, Way.ADDRESS) for i in range(1, count + 1)]
    ranges.append(Range(105, 120, Way.ADDRESS))
    words = np.arange(0, count * 100 + 200, dtype=np.uint64)
    hit = np.zeros(len(words), np.bool_)
    for found in ranges:
        hit |= found.holds(words)
    assert _Union.of(ranges).inside(words).tolist() == np.flatnonzero(hit).tolist()


def test_answers_are_tables() -> None:
    answer: Referrers = open_core(core("7.2-quiet")).referrers("init_task", limit=5)
    columns = answer.to_dict()
    assert len(columns["address"]) == 5
    assert answer.in_short() == f"init_task: {answer.count:,} pointers to kernel image"
    first: Referrer = answer.found[0]
    assert columns["word"][0] == first.word
