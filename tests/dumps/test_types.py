# SPDX-License-Identifier: LGPL-2.1-or-later
"""BTF from the dump against DWARF from its vmlinux."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from drgn import Object, Program, Type, TypeKind
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.idr import idr_for_each_entry
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.mapletree import mt_for_each
from drgn.helpers.linux.mm import pfn_to_virt
from drgn.helpers.linux.nodemask import for_each_online_node
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.printk import get_printk_records
from drgn.helpers.linux.slab import for_each_slab_cache

import allocdump
from allocdump.kernel.walk import Cut, list_entries, tree_entries
from allocdump.session import Session
from allocdump.source.build_id import inspect
from allocdump.source.globals import TYPES

from ..dumpdata import CORES_WITH_TRUTH, core, name, open_core, run

TINY = core("7.3-tiny")
VMLINUX = TINY.parent / "vmlinux"
LABMOD = TINY.parent / "labmod.ko"


@pytest.fixture(scope="module")
def dwarf() -> Session:
    return allocdump.open(TINY, vmlinux=[str(VMLINUX)])


@pytest.mark.parametrize("format_", ["table", "json", "csv", "folded", "allocinfo"])
@pytest.mark.parametrize("modules", [[], ["--vmlinux", LABMOD]], ids=["kernel", "and module"])
def test_reports_are_identical(format_: str, modules: list[str | Path]) -> None:
    btf = run("report", TINY, "--all", "--format", format_)
    args = ["--vmlinux", VMLINUX, *modules]
    dwarf = run("report", TINY, "--all", "--format", format_, *args)
    assert btf.returncode == dwarf.returncode == 0
    assert dwarf.stdout.replace('"dwarf"', '"btf"') == btf.stdout
    assert btf.stderr == dwarf.stderr == ""


Layout = tuple[str | None, int, int | None, int | None]
"""Of a member: name, bit offset, size as a bit field, size otherwise."""


@pytest.mark.parametrize(
    "type_name",
    [
        "struct alloc_tag", "struct codetag_type", "struct module", "struct page",
        "struct task_struct", "struct slab", "struct kmem_cache", "struct zone",
        "struct pcpu_chunk", "struct vm_struct", "struct maple_node", "struct xa_node",
        "struct printk_info", "union codetag_ref", "struct sk_buff", "struct mm_struct",
    ],
)  # fmt: skip
def test_layouts_are_identical(dwarf: Session, type_name: str) -> None:
    """Names, offsets, sizes and bit fields of all members, anonymous ones too."""

    def layout(type_: Type, seen: int = 0) -> Iterator[Layout]:
        assert type_.members is not None
        for m in type_.members:
            size = None if m.bit_field_size else _sizeof(m.type)
            yield m.name, m.bit_offset, m.bit_field_size, size
            if m.name is None and seen < 5:
                yield from layout(m.type, seen + 1)

    btf_type, dwarf_type = open_core(TINY).prog.type(type_name), dwarf.prog.type(type_name)
    assert btf_type.size == dwarf_type.size
    assert list(layout(btf_type)) == list(layout(dwarf_type))


def _sizeof(type_: Type) -> int:
    from drgn import sizeof

    while type_.kind == TypeKind.TYPEDEF:
        type_ = type_.type
    if type_.kind == TypeKind.ARRAY:
        # BTF cannot tell x[0] from x[].
        return (type_.length or 0) * (_sizeof(type_.type) if type_.length else 1)
    size: int = sizeof(type_)
    return size


@pytest.mark.parametrize("constant", ["PIDTYPE_PID", "NR_FREE_PAGES", "LOG_CONT", "PG_head"])
def test_enumerators_are_identical(dwarf: Session, constant: str) -> None:
    assert open_core(TINY).prog[constant].value_() == dwarf.prog[constant].value_()


SWAPPED = core("6.12-oom-user")
"""A kernel with NUMA, swap and a network, that ran out of memory."""


def said(pattern: str, path: Path = SWAPPED) -> int:
    """The last number of that kind that the kernel printed before it died."""
    text = (path.parent / "console.txt").read_text(errors="replace")
    return int(re.findall(pattern, text)[-1])


def in_file(name: str, pattern: str) -> int:
    """A number from a file of its /proc."""
    found = re.search(pattern, (SWAPPED.parent / name).read_text())
    assert found
    return int(found[1])


def crashing_cpu() -> bool:
    path = core("7.2-oom-memcg")
    cpu = said(r" CPU: (\d+) ", path)
    return cpu > 0 and open_core(path).prog["crashing_cpu"].value_() == cpu


def super_blocks(prog: Program) -> set[bytes]:
    blocks = prog["super_blocks"].address_of_()
    every = list_for_each_entry("struct super_block", blocks, "s_list")
    return {block.s_type.name.string_() for block in every}


UNKNOWN_TO_DWARF: dict[str, tuple[str, Callable[[Program], bool]]] = {
    "crashing_cpu": ("int", lambda prog: crashing_cpu()),
    "node_data": (
        "struct pglist_data *[64]",
        lambda prog: (
            [prog["node_data"][n].node_id.value_() for n in for_each_online_node(prog)] == [0]
        ),
    ),
    "nr_vmalloc_pages": (
        "atomic_long_t",
        lambda prog: (
            prog["nr_vmalloc_pages"].counter * 4 == in_file("meminfo", r"VmallocUsed: +(\d+) kB")
        ),
    ),
    "total_swap_pages": (
        "long",
        lambda prog: prog["total_swap_pages"] * 4 == said(r"Total swap = (\d+)kB") > 0,
    ),
    "nr_swap_pages": (
        "atomic_long_t",
        lambda prog: prog["nr_swap_pages"].counter * 4 == said(r"Free swap  = (\d+)kB"),
    ),
    "swap_info": (
        "struct swap_info_struct *[28]",
        lambda prog: prog["swap_info"][0].pages * 4 == in_file("swaps", r"partition\s+(\d+)"),
    ),
    "nr_swapfiles": ("unsigned int", lambda prog: prog["nr_swapfiles"] == 1),
    "super_blocks": (
        "struct list_head",
        lambda prog: {b"tmpfs", b"proc", b"cgroup2", b"9p"} <= super_blocks(prog),
    ),
    "page_offset_base": (
        "unsigned long",
        lambda prog: pfn_to_virt(prog, 0).value_() == prog["page_offset_base"].value_(),
    ),
    "vmemmap_base": (
        "unsigned long",
        lambda prog: prog["vmemmap_base"] == prog["mem_section"][0][0].section_mem_map & -4096,
    ),
    # KASLR puts it at a multiple of 1 GiB; the first areas, of boot, are just behind it.
    "vmalloc_base": (
        "unsigned long",
        lambda prog: (
            min(area.area.start for area in open_core(SWAPPED).vmalloc_areas()) & -(1 << 30)
            == prog["vmalloc_base"].value_()
        ),
    ),
    "init_net": (
        "struct net",
        lambda prog: prog["init_net"].loopback_dev.name.string_() == b"lo",
    ),
    "net_namespace_list": (
        "struct list_head",
        lambda prog: prog["net_namespace_list"].next == prog["init_net"].list.address_of_(),
    ),
    "nr_node_ids": ("unsigned int", lambda prog: prog["nr_node_ids"] == 1),
    # test_stacks.py reads them.
    "page_owner_ops": ("", lambda prog: not prog.symbols("page_owner_ops")),
    "page_owner_inited": ("", lambda prog: not prog.symbols("page_owner_inited")),
    "hstates": (
        "",
        lambda prog: (
            4 << prog["hstates"][0].order.value_() == in_file("meminfo", r"Hugepagesize: +(\d+) kB")
        ),
    ),
    "hugetlb_max_hstate": ("int", lambda prog: prog["hugetlb_max_hstate"] == 1),
    # tests/kernel/mm/test_pools.py reads them.
    "cma_areas": ("", lambda prog: not prog.symbols("cma_areas")),
    "cma_area_count": ("", lambda prog: not prog.symbols("cma_area_count")),
    # tests/kernel/mm/test_page_uses.py reads them.
    "ksm_pages_shared": ("", lambda prog: not prog.symbols("ksm_pages_shared")),
    "num_poisoned_pages": ("", lambda prog: not prog.symbols("num_poisoned_pages")),
    "page_pools": ("struct xarray", lambda prog: prog["page_pools"].xa_flags.value_() != 0),
    # None of the kernels has it.
    "root_task_group": ("", lambda prog: not prog.symbols("root_task_group")),
}
"""What 7.3-tiny's kernel has not, or its DWARF does not say: its type, and what shows in another
dump that it is there."""


BEFORE_6_9 = ("vmap_area_list", "vmap_area_root", "purge_vmap_area_list")
"""Globals that went when vmalloc space was divided into nodes."""


@pytest.mark.parametrize("name", [n for n in TYPES if n not in {*UNKNOWN_TO_DWARF, *BEFORE_6_9}])
def test_globals_are_identical(dwarf: Session, name: str) -> None:
    """What the table says, DWARF says, but for how it wraps static keys and lengths of arrays."""
    btf, known = open_core(TINY).prog, dwarf.prog[name]
    assert btf[name].address_ == known.address_
    if known.type_.kind == TypeKind.ARRAY:
        entry = known[0].type_.type_name().removeprefix("const ")
        assert btf[name][0].type_.type_name() == entry
    else:
        assert _sizeof(btf[name].type_) == _sizeof(known.type_)
        names = {known.type_.type_name().partition("_key")[0].replace("bool", "_Bool")}
        assert btf[name].type_.type_name().partition("_key")[0] in names


def addresses(entries: Iterable[Object | Cut]) -> set[int]:
    """Of whole entries; there may be no others."""
    found = set()
    for entry in entries:
        assert not isinstance(entry, Cut)
        found.add(entry.value_())
    return found


def test_globals_of_older_kernels() -> None:
    """The list and the tree of vmalloc areas lead to the same ones."""
    prog = open_core(core("stock-6.1-tmpfs")).prog
    head, root = (prog[name].address_of_() for name in BEFORE_6_9[:2])
    listed = addresses(list_entries("struct vmap_area", head, "list"))
    in_tree = addresses(tree_entries("struct vmap_area", root, "rb_node"))
    assert listed == in_tree
    told = (core("stock-6.1-tmpfs").parent / "vmallocinfo").read_text().splitlines()
    assert abs(len(listed) - len(told)) <= 8  # those without a vm_struct, and since


@pytest.mark.parametrize("name", UNKNOWN_TO_DWARF)
def test_globals_are_what_the_kernel_said(dwarf: Session, name: str) -> None:
    with pytest.raises(KeyError):
        dwarf.prog[name]
    type_, is_there = UNKNOWN_TO_DWARF[name]
    prog = open_core(SWAPPED).prog
    assert is_there(prog)
    assert not type_ or prog[name].type_.type_name() == type_


def test_per_cpu_variables_have_types(dwarf: Session) -> None:
    """Of globals that no table lists: BTF has the types of per-CPU variables."""
    btf = open_core(TINY).prog["runqueues"]
    assert btf.address_ == dwarf.prog["runqueues"].address_
    assert btf.type_.type_name() == "struct rq"


@pytest.mark.parametrize("path", [c for c in CORES_WITH_TRUTH if c.suffix != ".d31"], ids=name)
def test_drgns_helpers_work_without_debug_information(path: Path) -> None:
    prog = open_core(path).prog
    modules = [m for _, m in idr_for_each_entry(
        prog["alloc_tag_cttype"].mod_idr.address_of_(), "struct codetag_module")]  # fmt: skip
    assert len(modules) >= 2
    assert 0 in list(for_each_possible_cpu(prog))
    assert any(c.name.string_() == b"kmalloc-64" for c in for_each_slab_cache(prog))
    assert any(b"Kernel panic" in r.text for r in get_printk_records(prog))
    assert any(t.comm.string_() == b"init" for t in for_each_task(prog))
    if path.parent.name.startswith("7."):
        assert list(mt_for_each(prog["mod_area_mt"].address_of_()))


def test_debug_info_option() -> None:
    done = run("report", TINY, "--debug-info", "btf", "--format", "json")
    assert json.loads(done.stdout)["dump"]["types"] == "btf"
    done = run("report", TINY, "--vmlinux", VMLINUX, "--format", "json")
    assert json.loads(done.stdout)["dump"]["types"] == "dwarf"
    done = run("report", TINY, "--vmlinux", VMLINUX, "--debug-info", "btf")
    assert (done.returncode, done.stdout) == (4, "")


def test_a_module_of_another_build_is_mentioned(tmp_path: Path) -> None:
    other = tmp_path / "other.ko"
    named = inspect(str(LABMOD)).build_id
    assert named is not None
    build_id = bytes.fromhex(named)
    other.write_bytes(LABMOD.read_bytes().replace(build_id, bytes(20)))
    done = run("report", TINY, "--vmlinux", VMLINUX, "--vmlinux", other)
    assert done.returncode == 0
    assert "other.ko is of no module loaded in the dump" in done.stderr


def test_other_code_tag_types_are_listed() -> None:
    path = core("7.3-compressed")
    registered = [t.name for t in open_core(path).report().types]
    assert registered[0] == "alloc_tags"
    assert len(registered) == 2
    assert f"code tag types: alloc_tags (1,211), {registered[1]}" in run("report", path).stdout
