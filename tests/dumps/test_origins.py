# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kernels without a profile: origins in place of call sites, against what the kernel and the
modules said themselves."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from allocdump.analysis.paths import node_at
from allocdump.analysis.reach import Reach, Verdict, reach
from allocdump.commands import WITHOUT_PROFILE
from allocdump.graph.build import HeapBuilder
from allocdump.graph.edges import read_graph
from allocdump.kernel.mm.origins import Origins
from allocdump.kernel.mm.pagemap import PageMap
from allocdump.kernel.tags.sites import OriginKind, Sites

from ..dumpdata import STOCK_CORES, core, name, open_core, run

NEVER = core("7.3-reach-never")
WITHOUT = [*STOCK_CORES, core("tiny-never"), NEVER]
REACH = [NEVER, *(core(folder) for folder in ("6.12-reach", "7.2-reach", "7.3-reach"))]
"""Those with a profile are read as if nothing in them had a tag."""
COMMANDS = {"whois": ["pfn:5000", "init_task"], "paths": ["init_task"]}


@pytest.mark.parametrize("path", WITHOUT, ids=name)
@pytest.mark.parametrize("command", WITHOUT_PROFILE)
def test_each_command_works_and_says_so_in_one_line(path: Path, command: str) -> None:
    done = run(command, path, *COMMANDS.get(command, []))
    assert done.returncode == 0, done.stderr
    said = done.stdout if command == "triage" else done.stderr
    said = " ".join(said.split())
    assert said.count("told by slab cache, vmalloc caller and kind of page instead of call") == 1
    built_in = path not in STOCK_CORES
    assert ("was never enabled on this machine" in said) == built_in
    assert ("is not built into this kernel" in said) != built_in


@pytest.mark.parametrize("command", ["report", "audit"])
def test_others_name_those_that_work(command: str) -> None:
    for path in (core("stock-6.12-quiet"), core("tiny-never")):
        done = run(command, path)
        assert (done.returncode, done.stdout) == (5, "")
        assert "triage, usage, objects, pages, whois, leaks, retained and paths" in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("path", WITHOUT, ids=name)
def test_every_object_in_use_has_its_cache(path: Path) -> None:
    """Object by object, by free lists and sheaves, as the slabs' own counters have it."""
    dump = open_core(path)
    found, objects = dump.attribution(), dump.object_totals()
    by_cache = np.zeros(len(found.caches), np.int64)
    of_slab = objects.cache >= 0
    np.add.at(by_cache, objects.cache[of_slab], objects.objects[of_slab])
    assert (by_cache == found.slab.in_use).all()
    names = [dump.origins.name(row) for row in objects.site[of_slab].tolist()]
    assert {one.origin for one in names} == {OriginKind.CACHE}
    caches = [found.caches[i].name for i in objects.cache[of_slab].tolist()]
    assert [one.file for one in names] == caches


@pytest.mark.parametrize("path", WITHOUT, ids=name)
def test_usage_knows_stacks_and_vmalloc(path: Path) -> None:
    """The kernel's own counters: all of vmalloc, and stacks but for those kept for reuse."""
    root = open_core(path).usage()
    assert root.bytes == root.counter
    classes = {node.name: node for node in root.children}
    stacks, vmalloc = classes["kernel stacks"], classes["vmalloc"]
    assert stacks.counter is not None
    assert vmalloc.counter is not None
    assert 0 <= stacks.bytes - stacks.counter <= 16 * 16384
    assert abs(vmalloc.bytes - vmalloc.counter) <= 4 * 4096
    assert classes["per-CPU memory"].bytes > 0
    assert "allocation profiler" not in classes


def judged(path: Path) -> tuple[Reach, Origins]:
    dump = open_core(path)
    if path == NEVER:
        return dump.reach(), dump.origins
    pagemap = PageMap(dump.kernel, Sites.none())
    origins = pagemap.origins.names(Sites.none())
    builder = HeapBuilder(pagemap, origins.role)
    pagemap.show(builder)
    return reach(read_graph(builder, origins)), origins


def recorded(path: Path) -> list[tuple[str, int, str, str]]:
    """(kind, address, state, module) of what the modules have."""
    text = (path.parent / "truth.allocations").read_text()
    rows = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return [(r[0], int(r[1], 16), r[4], r[6]) for r in rows if r[4] != "freed"]


@pytest.mark.parametrize("path", REACH, ids=name)
def test_what_was_dropped_is_lost_and_little_else(path: Path) -> None:
    found, origins = judged(path)
    assert not found.reasons
    nodes = found.graph.nodes
    verdicts, noted = Counter[tuple[str, str]](), set()
    for kind, address, state, module in recorded(path):
        node = node_at(found.graph, address)
        if node is None:
            # Where pointers into the first chunk are small numbers, nobody judges it.
            assert kind == "percpu"
            continue
        noted.add(node)
        # On 6.12, what holds the memory of an unloaded module is there as long as its tags.
        dropped = state == "lost" or (module == "leaked" and path.parent.name != "6.12-reach")
        if dropped or state == "held":
            verdicts["lost" if dropped else "held", Verdict(found.verdict[node]).name] += 1
    assert verdicts["held", "HELD"] >= 700
    assert verdicts["lost", "LOST"] >= 300
    assert set(verdicts) <= {("held", "HELD"), ("lost", "LOST"), ("lost", "UNDECIDED")}
    # Pages that were lost right behind one that is held may as well be a part of that.
    assert verdicts["lost", "UNDECIDED"] <= (0 if path == NEVER else 30)
    # What else is lost, and is not lost with these.
    mine = np.isin(np.arange(len(nodes)), list(noted))
    from allocdump.analysis.leaks import leaks

    answer = leaks(found, origins)
    false = answer.is_lost & ~mine[answer.node] & ~mine[answer.head]
    assert nodes.size[answer.node[false]].sum() <= 0.0005 * nodes.size.sum()


def test_losses_are_told_by_cache_kind_and_caller() -> None:
    done = run("leaks", NEVER, "--format", "json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    lost = {(r["origin"], r["name"], r["module"]): r["allocations"] for r in rows if r["lost"]}
    truth = Counter(kind for kind, _, state, module in recorded(NEVER) if state == "lost")
    pages = sum(1 for r in recorded(NEVER) if (r[0], r[3]) == ("page", "leaked"))
    assert lost["pages", "pages of unknown use", None] == truth["page"] + truth["compound"] + pages
    assert lost["percpu", "per-CPU objects", None] == truth["percpu"]
    areas = [key for key in lost if key[0] == "caller"]
    assert {key[2] for key in areas} == {"reach"}
    assert {key[1].partition("+")[0] for key in areas} == {"lose_areas", "lose_nested"}
    assert all(r["file"] is None for r in rows)
    confidence = {r["name"]: r["confidence"] for r in rows}
    # Many call sites have these in common.
    assert confidence["pages of unknown use"] == "likely"
    assert confidence["kmalloc-256"] == "likely"


@pytest.mark.parametrize("path", STOCK_CORES, ids=name)
def test_nothing_of_a_stock_kernel_is_called_lost(path: Path) -> None:
    """No module of theirs leaked anything."""
    found = open_core(path).leaks()
    if found.reasons:
        assert path.parent.name in ("stock-6.1-tmpfs", "stock-7.3-inodes")  # inodes are left out
        return
    code_left_out = "7.3" in path.parent.name  # where the futexes' table is known from alone
    size = int(found.decided.bytes.sum())
    assert size <= (0.0005 * found.total_bytes if code_left_out else 512)
    assert not np.isin(found.decided.confidence, ["certain", "very likely"]).any()


def test_an_unloaded_or_early_allocation_on_a_kernel_with_a_profile() -> None:
    """Both in one table: what has a tag its site, what came before tags its origin."""
    dump = open_core(core("7.2-quiet"))
    objects = dump.object_totals()
    kinds = Counter(dump.origins.name(row).origin for row in objects.site.tolist())
    assert kinds[OriginKind.SITE] > 400
    assert kinds[OriginKind.CACHE] > 10
    audit = dump.audit()
    assert len(audit.counter) == len(dump.report().sites) == dump.origins.tagged
