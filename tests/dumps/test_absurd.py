# SPDX-License-Identifier: LGPL-2.1-or-later
"""Absurd sizes, counts and addresses in a dump end in a sentence, or cost only themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from drgn import Program
from drgn.helpers.linux.list import list_for_each_entry

from allocdump.kernel.machine.modules import loaded_modules
from allocdump.kernel.mm.vmalloc import vm_areas
from allocdump.kernel.walk import is_damage
from allocdump.source.memory import Memory

from ..dumpdata import core, exclude, open_core, place
from ..hostile.child import Outcome
from ..hostile.child import run as run_damaged
from ..hostile.damage import Overlay

DUMP = core("6.12-oom-user")
"""With page extensions."""


OF = {
    "objects": ("pcpu_nr_slots",),
    "usage": ("pcpu_nr_slots", "nr_vmap_nodes"),
    "triage": ("nr_swapfiles",),
}
"""Numbers that a command needs."""


def damaged(damage: Callable[[Program], None], *words: str) -> Outcome:
    done = run_damaged([words[0], str(DUMP), *words[1:]], damage, 60.0)
    assert done.code in (0, 6), done.err
    assert b"Traceback" not in done.err + done.out
    return done


def word(name: str, value: int) -> Callable[[Program], None]:
    """Write 64 bits over a variable."""
    at = open_core(DUMP).prog.symbol(name).address
    return lambda prog: Overlay(prog).write(at, value.to_bytes(8, "little"))


@pytest.mark.parametrize("value", [0, 12, 1 << 20, 1 << 63])
@pytest.mark.parametrize("command", ["objects", "paths init_task"])
def test_size_of_page_extensions(command: str, value: int) -> None:
    done = damaged(word("page_ext_size", value), *command.split())
    assert done.code == 6
    assert b"page_ext_size is damaged" in done.err


def test_place_of_references_in_page_extensions() -> None:
    members = open_core(DUMP).prog.type("struct page_ext_operations")
    at = open_core(DUMP).prog.symbol("page_alloc_tagging_ops").address
    at += members.member("offset").offset
    done = damaged(lambda prog: Overlay(prog).write(at, (1 << 40).to_bytes(8, "little")), "pages")
    assert done.code == 6
    assert b"page_alloc_tagging_ops.offset is damaged" in done.err


def test_no_possible_cpu() -> None:
    """Without CPUs, all counters would be zero."""
    done = damaged(word("__cpu_possible_mask", 0), "report")
    assert done.code == 6
    assert b"the mask of possible CPUs is damaged" in done.err


def test_first_inode_of_a_file_system() -> None:
    """Its list's first entry is at an address less than the member's offset."""
    sb = next(list_for_each_entry(
        "struct super_block", open_core(DUMP).prog["super_blocks"].address_of_(), "s_list"
    ))  # fmt: skip
    at = place(sb.s_inodes.next)
    damaged(lambda prog: Overlay(prog).write(at, (8).to_bytes(8, "little")), "triage")


@pytest.mark.parametrize("name", ["pcpu_nr_slots", "nr_vmap_nodes", "nr_swapfiles"])
def test_numbers_that_loops_run_to(name: str) -> None:
    """Each is an ``int``; a loop to 2^31 would not end in an hour."""
    at = open_core(DUMP).prog.symbol(name).address
    number = ((1 << 31) - 1).to_bytes(4, "little")
    for command in ("objects", "usage", "triage"):
        done = damaged(lambda prog: Overlay(prog).write(at, number), command)
        assert done.code == 0
        assert not done.late
        if name in OF[command]:
            assert f"{name} is damaged: 2,147,483,647".encode() in done.err + done.out


def test_names_of_the_kernel_are_missing() -> None:
    at = open_core(DUMP).prog.symbol("init_uts_ns").address
    done = damaged(lambda prog: Overlay(prog).exclude(at), "report", "--format", "json")
    assert done.code == 0
    assert json.loads(done.out)["kernel"]["version"] == ""
    assert b"(init_uts_ns) are unreadable" in done.err


def test_no_zone() -> None:
    done = damaged(word("node_data", 0), "pages", "--list")
    assert done.code == 6
    assert b"list of zones is damaged" in done.err


def test_no_direct_map() -> None:
    """drgn has no class of its own for the error that it raises then."""
    at = open_core(DUMP).prog.symbol("vmemmap_base").address
    for command in ("audit", "objects", "usage"):
        damaged(lambda prog: Overlay(prog).exclude(at), command)
    assert is_damage(Exception("could not find variable in direct mapping"))
    assert not is_damage(RuntimeError("ours"))


@pytest.mark.parametrize("size", [-1, 1 << 40, (1 << 64) - 1])
def test_reads_of_absurd_sizes(size: int) -> None:
    with pytest.raises(ValueError, match="is damaged"):
        Memory(open_core(DUMP).prog).read(0xFFFF_8880_0000_0000, size)


def test_vmalloc_areas_of_absurd_sizes() -> None:
    """They cost themselves only."""
    prog = open_core(DUMP).prog
    areas = vm_areas(prog).found
    size = prog.type("struct vm_struct").member("size").offset

    def damage(prog: Program) -> None:
        over = Overlay(prog)
        for area in areas[:2]:
            over.write(area.vm_struct + size, ((1 << 63) - 4096).to_bytes(8, "little"))

    done = damaged(damage, "objects", "--group-by", "vmalloc", "--format", "json")
    assert done.code == 0
    assert b"2 vmalloc areas are unreadable" in done.err
    shown = {json.loads(line)["address"] for line in done.out.splitlines()}
    assert shown == {f"{area.start:#x}" for area in areas[2:]}
    assert damaged(damage, "usage").code == 0


def test_missing_sheaves_are_told() -> None:
    """Else free objects in them would look like objects without a site (seed 20161)."""
    dump = core("7.3-after")
    pages = open_core(dump).pagemap
    page = int(pages.sheaves.address[len(pages.sheaves) // 2]) & -4096
    done = run_damaged(["objects", str(dump)], lambda prog: exclude(prog, page), 60.0)
    assert done.code == 0
    assert re.search(rb"shea(f of a slab cache|ves of slab caches)", done.err)


def test_a_module_with_absurdly_many_symbols() -> None:
    """drgn would take memory for all of them."""
    at = place(loaded_modules(open_core(DUMP).prog).modules[0].object.kallsyms.num_symtab)

    done = damaged(lambda prog: Overlay(prog).write(at, b"\xff" * 4), "leaks")
    assert "a number of 4,294,967,295 symbols is damaged" in " ".join(done.err.decode().split())
