# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules for what is no pointer that no bundled dump shows, and names of members."""

import pytest
from drgn import Object, TypeMember

from allocdump.kernel.hidden import kcore_ranges
from allocdump.kernel.members import cache_type, member_at
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
    assert len(kcore_ranges(prog).start) == 0  # no such list in this kernel
    kernel.objects["kclist_head"] = Object(prog, head, address=0x1000)
    assert kcore_ranges(prog).start.tolist() == [0x2010, 0x3010]


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
