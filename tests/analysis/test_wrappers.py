# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sites that allocate for others, and who holds what they allocated, in real dumps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from drgn import Object
from drgn.helpers.linux.rbtree import rbtree_inorder_for_each_entry

from allocdump.analysis.holder_kinds import NOTHING_SEEN
from allocdump.analysis.keys import Allocations
from allocdump.analysis.wrappers import MANY, of_objects
from allocdump.session import Session

from ..dumpdata import core, open_core, run

DUMPS = ["6.12-oom", "7.3-after"]
QUIET = core("7.2-quiet")


@pytest.mark.parametrize("folder", DUMPS)
def test_sites_that_allocate_for_others(folder: str) -> None:
    dump = open_core(core(folder))
    sites = dump.report().sites
    found = of_objects(dump.object_totals(), len(sites)).sizes

    def of(function: str) -> int:
        return int(found[sites.function == function].max())

    # A cache for each of its sizes: bpf_mem_alloc_init().
    assert of("__alloc") == 11
    assert of("alloc_slab_obj_exts") >= MANY
    assert of("alloc_inode") == 1
    assert 0 < (found >= MANY).sum() < len(sites) / 50
    by_nodes = dump.wrappers()
    assert np.array_equal(by_nodes.sizes[: len(sites)], found)


@cache
def holders(folder: str) -> dict[int, str]:
    """Kind of the holder of each object of a slab, by its address."""
    dump = open_core(core(folder))
    kinds = dump.holder_kinds()
    found: dict[int, str] = {}
    for batch in dump.objects():
        codes = kinds.codes(Allocations.of_objects(batch, dump.kernel)).tolist()
        found |= dict(zip(batch.address.tolist(), map(kinds.label, codes), strict=True))
    return found


def kernfs_nodes(dump: Session) -> Iterator[Object]:
    """All files of sysfs, by its own tree."""
    root = dump.prog.symbol("sysfs_root_kn").address
    above = [Object(dump.prog, "struct kernfs_node *", address=root).read_()]
    while above:
        node = above.pop()
        yield node
        if node.flags.value_() & 1:  # KERNFS_DIR
            children = node.dir.children.address_of_()
            above += rbtree_inorder_for_each_entry("struct kernfs_node", children, "rb")


@pytest.mark.parametrize("folder", DUMPS)
def test_names_of_files_are_held_by_their_nodes(folder: str) -> None:
    """``kernfs_node.name`` is from kstrdup_const(), as are names of others."""
    dump, found = open_core(core(folder)), holders(folder)
    names = {node.name.value_() for node in kernfs_nodes(dump)} & found.keys()
    assert len(names) > 300
    assert {found[name].split()[1] for name in names} == {"__kernfs_new_node"}


def test_lost_memory_has_nothing_that_holds_it_but_what_is_lost_with_it() -> None:
    done = run("leaks", QUIET, "--group-by", "site,holder", "--format", "json")
    rows = [row for row in map(json.loads, done.stdout.splitlines()) if row["lost"]]
    found = {row["function"]: row["holder"] for row in rows}
    area = found.pop("__get_vm_area_node")
    assert area.endswith("labmod_vmalloc [labmod]")
    assert {"leaked_pages", "leaked_objects", "labmod_vmalloc"} <= found.keys()
    assert set(found.values()) == {NOTHING_SEEN}


@pytest.mark.parametrize(
    ("command", "facts"),
    [("objects", "of 5 sizes"), ("leaks", "of 5 sizes and held by 21 kinds of holders")],
)
def test_reports_say_so(command: str, facts: str) -> None:
    done = run(command, QUIET, "--filter", "mm/*")
    assert (
        f"mm/util.c:64 __kmemdup_nul may allocate for many callers: its objects are {facts};"
        in (done.stdout)
    )
    # Of many sizes by an array at its end, and all in one table.
    said = run("leaks", QUIET).stdout
    assert "__register_sysctl_table may" not in said
    assert "__kmemdup_nul may" in said


def test_groups_by_holder_in_every_format() -> None:
    """The objects of a site are those of its holders together."""
    site = ("--filter", "mm/util.c:64")
    for command, size in (("objects", "bytes"), ("report", "bytes"), ("leaks", "held")):
        done = run(command, QUIET, *site, "--group-by", "holder", "--format", "json")
        document = json.loads(done.stdout) if command == "report" else None
        rows = document["rows"] if document else [*map(json.loads, done.stdout.splitlines())]
        by_holder = {row["holder"]: row[size] for row in rows}
        assert len(by_holder) > 10
        assert max(by_holder, key=by_holder.__getitem__) == "fs/kernfs/dir.c:665 __kernfs_new_node"
    for format_ in ("csv", "markdown", "html", "folded"):
        done = run("objects", QUIET, *site, "--group-by", "holder", "--format", format_)
        assert "fs/kernfs/dir.c:665" in done.stdout
