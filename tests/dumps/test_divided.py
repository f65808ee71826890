# SPDX-License-Identifier: LGPL-2.1-or-later
"""The account of all memory by memory cgroup and by node, against the whole, and the kernel's."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache

import pytest
from click.testing import CliRunner

from allocdump.analysis.usage import Node
from allocdump.cli import cli
from allocdump.kernel.machine.zones import zone_states

from ..dumpdata import TESTDATA, core, open_core
from .test_charges import BATCH, memory_stat

DUMPS = ("7.3-cgroups", "7.2-quiet", "7.3-zombie", "arm64-oom", "stock-6.1-tmpfs", "7.3-stacks")
CGROUPS = core("7.3-cgroups")


@cache
def account(folder: str, by: str | None) -> Node:
    return open_core(core(folder)).usage(by=by)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def leaves(root: Node, skip: int) -> Counter[tuple[str, ...]]:
    out = Counter[tuple[str, ...]]()
    for path, node in root.walk():
        if not node.children:
            out[path[skip:]] += node.bytes
    return out


def part(name: str, by: str = "cgroup") -> dict[str, int]:
    (found,) = (node for node in account("7.3-cgroups", by).children if node.name == name)
    return {"": found.bytes} | {node.name: node.bytes for node in found.children}


@pytest.mark.parametrize("by", ["cgroup", "node"])
@pytest.mark.parametrize("folder", DUMPS)
def test_parts_add_up_to_the_whole_leaf_by_leaf(folder: str, by: str) -> None:
    if not (TESTDATA / folder).is_dir():
        pytest.skip("the dump is not there")
    whole, parts = account(folder, None), account(folder, by)
    assert leaves(parts, 2) == leaves(whole, 1)
    assert parts.bytes == whole.bytes
    assert all(node.bytes >= 0 for _, node in parts.walk())


@pytest.mark.parametrize("by", ["cgroup", "node"])
def test_parts_of_a_damaged_dump_add_up_to_all_memory(by: str) -> None:
    path = core("7.2-quiet", "vmcore.d31")
    assert open_core(path).usage(by=by).bytes == open_core(path).usage().bytes


@pytest.mark.parametrize("path", ["/first", "/second", "/outer"])
def test_a_cgroup_has_what_its_own_statistics_say(path: str) -> None:
    found, truth = part(path), memory_stat(CGROUPS, path)
    dump = open_core(CGROUPS)
    assert found.get("anonymous memory", 0) == truth["anon"]
    assert found.get("shared memory and tmpfs", 0) + found.get("page cache", 0) == truth["file"]
    assert found.get("page tables", 0) == truth["pagetables"]
    assert found["vmalloc"] == truth["vmalloc"]
    # A cgroup is charged for the pointers to it, too: one for each four bytes of a copy, and of
    # each object in a slab.
    copy = found["per-CPU memory"] // dump.possible_cpus
    assert found["per-CPU memory"] + copy // 4 * 8 == truth["percpu"]
    slab = truth["slab_reclaimable"] + truth["slab_unreclaimable"]
    objects = slab - found["large kmalloc"] - found["slab"]
    assert -BATCH <= objects <= found["slab"] // 16 + BATCH
    assert sum(size for name, size in found.items() if name) == found[""]


def test_what_nobody_is_charged_for_is_a_part_of_its_own() -> None:
    rest, whole = part("(not charged)"), account("7.3-cgroups", None)
    of_whole = {node.name: node.bytes for node in whole.children}
    for name in ("free", "boot", "allocation profiler", "kernel stacks"):
        assert rest[name] == of_whole[name]
    # The rest of slabs that objects of others are in, and free objects.
    (slab,) = (n for c in account("7.3-cgroups", "cgroup").children for n in c.children
               if c.name == "(not charged)" and n.name == "slab")  # fmt: skip
    assert {"free objects", "overhead"} <= {node.name for node in slab.children}


def test_a_node_has_all_pages_of_its_zones() -> None:
    """All that are present, but the few that no section of memory describes."""
    dump = open_core(CGROUPS)
    present = Counter[str]()
    for zone in zone_states(dump.kernel)[0]:
        present[f"node {zone.node}"] += zone.present * 4096
    found = {node.name: node.bytes for node in account("7.3-cgroups", "node").children}
    assert found == present
    assert set(found) == {"node 0", "node 1"}


def test_formats() -> None:
    """All have the parts as the first level."""
    names = {"(not charged)", "/", "/first", "/second", "/outer"}
    command = ["usage", str(CGROUPS), "--by", "cgroup", "--depth", "1"]
    told = json.loads(run(*command, "--format", "json"))
    assert told["by"] == "cgroup"
    assert {node["name"] for node in told["memory"]["children"]} == names
    assert sum(node["bytes"] for node in told["memory"]["children"]) == told["memory"]["bytes"]
    for format_ in ("csv", "table", "markdown", "html"):
        text = run(*command, "--format", format_)
        assert all(name in text for name in names), format_


def test_by_does_not_go_with_fragmentation() -> None:
    found = CliRunner().invoke(cli, ["usage", str(CGROUPS), "--by", "node", "--fragmentation"])
    assert found.exit_code == 2
    assert "--by is not for --fragmentation" in found.output
