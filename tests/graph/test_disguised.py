# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules for what is no pointer that no bundled dump shows, and names of members."""

import numpy as np
import pytest
from drgn import Object, TypeMember

from allocdump.graph.disguised import kcore_ranges
from allocdump.graph.members import cache_type, member_at
from allocdump.kernel.mm.slab import Cache
from allocdump.kernel.mm.slab_free import free_objects
from allocdump.source.memory import Memory
from tests.dumpdata import core, open_core
from tests.fakekernel import FakeKernel


def test_kcore_ranges_hold_nothing():
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


def test_free_lists_with_mixed_pointers():
    """CONFIG_SLAB_FREELIST_HARDENED: mixed with a number and where they lie."""
    kernel = FakeKernel()
    caches = [Cache(0, "plain", 64, 64, 0, free_pointer=8)]
    caches.append(Cache(1, "mixed", 64, 64, 0, free_pointer=8, random=0x1234_5678_9ABC_DEF0))
    objects = [0x4000, 0x4080, 0x4040]
    for here, following in zip(objects, [*objects[1:], 0], strict=True):
        place = here + 8
        swapped = int.from_bytes(place.to_bytes(8, "little"), "big")
        mixed = following ^ caches[1].random ^ swapped if following else 0
        kernel.write(place, following.to_bytes(8, "little"))
        kernel.write(place + 0x1000, (mixed and mixed ^ _moved(place)).to_bytes(8, "little"))
    found = free_objects(
        Memory(kernel.prog), caches, np.array([0, 1]), np.array([0x4000, 0x5000], np.uint64)
    )
    assert sorted(int(a) for _, batch in found for a in batch) == [
        0x4000, 0x4040, 0x4080, 0x5000, 0x5040, 0x5080,
    ]  # fmt: skip


def _moved(place: int) -> int:
    """What changes in a mixed pointer when a list is 0x1000 further on."""
    moved = place + 0x1000
    swap = [int.from_bytes(p.to_bytes(8, "little"), "big") for p in (place, moved)]
    return swap[0] ^ swap[1] ^ 0x1000


@pytest.mark.parametrize(
    ("type_", "offset", "name"),
    [
        ("struct list_head", 8, ".prev"),
        ("struct task_struct", None, ".tasks.next"),
        ("struct xa_node", None, ".slots[3]"),
        ("unsigned long", 0, ""),
    ],
)
def test_names_of_members(type_, offset, name):
    prog = open_core(core("7.2-quiet")).prog
    found = prog.type(type_)
    if offset is None:
        tasks = name == ".tasks.next"
        offset = found.member("tasks").offset if tasks else found.member("slots").offset + 3 * 8
    assert member_at(found, offset) == name


def test_types_of_caches():
    prog = open_core(core("7.2-quiet")).prog
    assert cache_type(prog, "radix_tree_node", 584).tag == "xa_node"
    assert cache_type(prog, "task_struct", 1 << 14).tag == "task_struct"
    assert cache_type(prog, "task_struct", 64) is None  # too small for it
    assert cache_type(prog, "kmalloc-64", 64) is None
