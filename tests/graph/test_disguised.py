# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules for what is no pointer that no bundled dump shows, and names of members."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from drgn import (
    Architecture,
    Object,
    Symbol,
    SymbolBinding,
    SymbolKind,
    TypeMember,
    sizeof,
)
from drgn.helpers.linux.slab import slab_object_info

from allocdump.arch.aarch64 import Arm
from allocdump.graph.disguised import kcore_ranges, recent_allocations
from allocdump.graph.members import cache_type, member_at
from allocdump.kernel.kernel import Kernel
from allocdump.kernel.mm.slab import Cache
from allocdump.kernel.mm.slab_free import free_objects
from tests.dumpdata import core, open_core, recorded
from tests.fakekernel import FakeKernel


def test_kcore_ranges_hold_nothing() -> None:
    """As with CONFIG_PROC_KCORE: where a range begins may be in the middle of a list."""
    kernel = FakeKernel()
    prog = kernel.prog
    members = [
        TypeMember(lambda: prog.pointer_type(prog.type("struct list_head")), name, bit)
        for name, bit in (("next", 0), ("prev", 64))
    ]
    head = kernel.types["list_head"] = prog.struct_type("list_head", 16, members)
    kernel.struct("kcore_list", list=head, addr=kernel.u64)
    kernel.write(0x1000, (0x2000).to_bytes(8, "little") + (0x3000).to_bytes(8, "little"))
    kernel.write(0x2000, (0x3000).to_bytes(8, "little") + (0x1000).to_bytes(8, "little"))
    kernel.write(0x3000, (0x1000).to_bytes(8, "little") + (0x2000).to_bytes(8, "little"))
    assert len(kcore_ranges(prog)[0].start) == 0  # no such list in this kernel
    kernel.objects["kclist_head"] = Object(prog, head, address=0x1000)
    assert kcore_ranges(prog)[0].start.tolist() == [0x2010, 0x3010]


def test_what_kasan_remembers_holds_nothing() -> None:
    """With tags, that is a ring of records; how many there are is bounded, whatever it says."""
    kernel = FakeKernel(Architecture.AARCH64)
    prog = kernel.prog
    entry = kernel.struct("kasan_stack_ring_entry", ptr=kernel.u64, size=kernel.u64)
    entries = prog.pointer_type(entry)
    kernel.struct("kasan_stack_ring", size=kernel.u64, entries=entries)
    assert len(recent_allocations(prog).start) == 0  # no such ring in this kernel
    ring = Symbol("stack_ring", 0x1000, 32, SymbolBinding.GLOBAL, SymbolKind.OBJECT)
    prog.register_symbol_finder(
        "fake", lambda prog, name, address, one: [ring] if name == ring.name else [], enable_index=0
    )
    tagged, plain = 0xF3FF_0000_0000_2000, 0xFFFF_0000_0000_2000
    for count, known in ((3, 3), (1 << 60, 1 << 24)):
        kernel.write(0x1000, count.to_bytes(8, "little") + tagged.to_bytes(8, "little"))
        found = recent_allocations(prog)
        assert (found.start.tolist(), found.end.tolist()) == ([plain], [plain + known * 16])


def test_free_lists_with_mixed_pointers() -> None:
    """CONFIG_SLAB_FREELIST_HARDENED: mixed with a number and the swapped bytes of their place.

    The end of a list is mixed, too.
    """
    kernel = FakeKernel()
    caches = [Cache(0, "plain", 64, 64, 0, free_pointer=8)]
    caches.append(Cache(1, "mixed", 64, 64, 0, free_pointer=8, random=0x1234_5678_9ABC_DEF0))
    words = {
        0x4008: 0x4080,
        0x4088: 0x4040,
        0x4048: 0,
        0x5008: 0x1A64_5678_9ABC_8E70,  # 0x5080 ^ random ^ 0x0850_0000_0000_0000
        0x5088: 0x9A64_5678_9ABC_8EB0,  # 0x5040 ^ random ^ 0x8850_0000_0000_0000
        0x5048: 0x5A64_5678_9ABC_DEF0,  # 0 ^ random ^ 0x4850_0000_0000_0000
    }
    for place, word in words.items():
        kernel.write(place, word.to_bytes(8, "little"))
    found = free_objects(
        Kernel(kernel.prog), caches, np.array([0, 1]), np.array([0x4000, 0x5000], np.uint64)
    )
    assert sorted(int(a) for _, batch in found for a in batch) == [
        0x4000, 0x4040, 0x4080, 0x5000, 0x5040, 0x5080,
    ]  # fmt: skip


def test_free_lists_with_tags() -> None:
    """KASAN's tags are in what is mixed, not in the place that it is mixed with."""
    fake = FakeKernel(Architecture.AARCH64)
    kernel = Kernel(fake.prog)
    assert isinstance(kernel.arch, Arm)
    kernel.arch.tagged = True
    first, second, random = 0xFFFF_0000_0000_4000, 0xFFFF_0000_0000_4080, 0x1234_5678_9ABC_DEF0
    tag = 0x0B << 56  # makes a top byte of 0xff one of 0xf4
    ends = ((first, second ^ tag), (second, 0))
    for place, following in ends:
        swapped = int.from_bytes(place.to_bytes(8, "little"), "big")
        fake.write(place, (following ^ random ^ swapped).to_bytes(8, "little"))
    caches = [Cache(0, "mixed", 64, 64, 0, random=random)]
    lists = np.array([0]), np.array([first ^ tag], np.uint64)
    found = free_objects(kernel, caches, *lists)
    assert [int(a) for _, batch in found for a in batch] == [first, second]


HARDENED = core("7.3-hardened")

if HARDENED.exists():

    def test_free_lists_of_a_hardened_kernel() -> None:
        """drgn follows them, too. What it finds on one is free; what has a site is on none."""
        dump = open_core(HARDENED)
        assert dump.prog.type("struct kmem_cache").has_member("random")
        seen: Counter[tuple[object, bool]] = Counter()
        for kind, address, *_ in recorded(HARDENED):
            if kind in ("cache", "kmalloc", "kmalloc_account"):
                state = dump.whois(f"{address:#x}").layers[0].detail.get("state")
                info = slab_object_info(dump.prog, address)
                assert info is not None
                seen[state, not info.allocated] += 1
        assert seen["allocated", False] > 100
        assert seen["free", True] > 10
        assert seen["allocated", True] == 0


@pytest.mark.parametrize(
    ("type_", "offset", "name"),
    [
        ("struct list_head", 8, ".prev"),
        ("struct task_struct", None, ".tasks.next"),
        ("struct xa_node", None, ".slots[3]"),
        ("unsigned long", 0, ""),
    ],
)
def test_names_of_members(type_: str, offset: int | None, name: str) -> None:
    prog = open_core(core("7.2-quiet")).prog
    found = prog.type(type_)
    if offset is None:
        tasks = name == ".tasks.next"
        offset = found.member("tasks").offset if tasks else found.member("slots").offset + 3 * 8
    assert member_at(found, offset) == name


def test_types_of_caches() -> None:
    prog = open_core(core("7.2-quiet")).prog
    for name, size, tag in (
        ("radix_tree_node", 584, "xa_node"),
        ("task_struct", 1 << 14, "task_struct"),
    ):
        found = cache_type(prog, name, size)
        assert found is not None
        assert found.tag == tag
    for folder in ("6.12-reach", "7.2-quiet", "7.3-tiny"):
        kernel = open_core(core(folder))
        (cache,) = (c for c in kernel.pagemap.caches if c.name == "sock_inode_cache")
        found = cache_type(kernel.prog, cache.name, cache.object_size)
        assert found is not None
        assert sizeof(found) == cache.object_size
        inode = found.member("vfs_inode").offset
        assert member_at(found, inode) == ".vfs_inode.i_mode"
    assert cache_type(prog, "task_struct", 64) is None  # too small for it
    assert cache_type(prog, "kmalloc-64", 64) is None
