# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which words count as pointers into allocations, on real dumps."""

from __future__ import annotations

import numpy as np
import pytest
from drgn import cast
from drgn.helpers.linux.pid import for_each_task

import allocdump
from allocdump.graph import task_roots
from allocdump.graph.edges import Graph
from allocdump.graph.nodes import NOTHING, NodeKind
from allocdump.graph.roots import Tier
from allocdump.kernel.chains import Index
from tests.dumpdata import core, open_core


@pytest.fixture(params=["6.12-reach", "7.2-reach", "7.3-reach"])
def graph(request: pytest.FixtureRequest) -> Graph:
    return open_core(core(request.param)).graph()


def nodes_of(graph: Graph, kind: NodeKind) -> Index:
    return np.flatnonzero(graph.nodes.kind == kind)


def test_every_kind_of_allocation_is_found_by_any_address_in_it(graph: Graph) -> None:
    pointers, nodes = graph.scanner.pointers, graph.nodes
    for kind in NodeKind:
        rows = nodes_of(graph, kind)
        assert len(rows) > 10
        addresses = nodes.address[rows]
        if kind != NodeKind.VMALLOC:  # the areas of tags begin with one
            assert (pointers.targets(addresses) == rows).all()
        assert (pointers.targets(addresses + np.uint64(3)) == rows).all()
        assert (pointers.targets(addresses - np.uint64(1)) != rows).all()


def test_a_cpus_copy_of_a_percpu_object(graph: Graph) -> None:
    pointers, units = graph.scanner.pointers, graph.scanner.heap.units
    rows = nodes_of(graph, NodeKind.PERCPU)
    for offset in np.unique(units.offset):
        copies = graph.nodes.address[rows] + offset
        assert (pointers.targets(copies) == rows).all()


def test_a_page_of_a_vmalloc_area_does_not_hold_the_area(graph: Graph) -> None:
    pointers, heap = graph.scanner.pointers, graph.scanner.heap
    rows = nodes_of(graph, NodeKind.VMALLOC)
    code = heap.slots[heap.blocks.slot]
    pages = heap.blocks.address[np.isin(code, rows)]
    assert len(pages) >= len(rows)
    assert (pointers.targets(pages) == NOTHING).all()
    assert np.isin(pointers.whole(pages), rows).all()
    pfn = ((pages - np.uint64(heap.direct_map)) >> np.uint64(12)).astype(np.int64)
    section = heap.index.sections[0]
    offset = pfn[pfn < section.pages].astype(np.uint64) * np.uint64(heap.index.page_size)
    structs = np.uint64(section.memmap) + offset
    assert (heap.index.pfn_of_struct_pages(structs) == pfn[pfn < section.pages]).all()
    assert (pointers.targets(structs) == NOTHING).all()


def test_references_to_tags_are_no_pointers() -> None:
    dump = open_core(core("6.12-oom"))
    pointers, sites = dump.graph().scanner.pointers, dump.origins
    tags = sites.address[sites.module == "leaker"]
    assert len(tags) > 0
    assert (pointers.targets(tags) == NOTHING).all()
    # The rest of the module's data is an allocation like any other.
    assert (pointers.targets(tags + np.uint64(8)) != NOTHING).all()


def test_small_and_huge_numbers_are_no_pointers(graph: Graph) -> None:
    words = np.array([0, 1, 4096, (1 << 64) - 1, (1 << 64) - 4095], np.uint64)
    assert (graph.scanner.pointers.targets(words) == NOTHING).all()


@pytest.mark.parametrize("folder", ["6.12-oom", "7.2-quiet", "7.3-tiny"])
def test_registers_of_tasks_that_were_running(folder: str) -> None:
    dump = open_core(core(folder))
    roots = dump.graph().roots
    registers = {root.name for root in roots if root.where == "registers"}
    assert 1 <= len(registers) <= 2
    # Of their stacks, only the part above the stack pointer is looked at.
    stacks = {root.name: root.size for root in roots if root.where == "stack"}
    assert all(0 < stacks[name] < 8192 for name in registers & set(stacks))


@pytest.mark.parametrize("folder", ["6.12-reach", "7.2-reach", "7.3-reach"])
def test_stacks_of_idle_workers_hold_nothing(folder: str) -> None:
    """The kernel says itself which workers are at work: their name has the work's, or none."""
    dump = open_core(core(folder))
    idle, busy = set[str](), set[str]()
    for task in for_each_task(dump.prog):
        name = f"{task.comm.string_().decode()} [{task.pid.value_()}]"
        if name.startswith("kworker/") and "R-" not in name:
            data = cast("struct kthread *", task.worker_private).data
            worker = cast("struct worker *", data)
            (busy if worker.current_work else idle).add(name)
    stacks = {root.name for root in dump.graph().roots if root.where == "stack"}
    assert len(idle) >= 5
    assert busy  # hold_by_work() keeps one
    assert not idle & stacks
    assert busy <= stacks


@pytest.mark.parametrize("folder", ["arm64-reach", "arm64-64k-compressed"])
def test_stacks_of_interrupts_hold_nothing(folder: str) -> None:
    """Between interrupts, all words there are of earlier ones."""
    graph = open_core(core(folder)).graph()
    of_stacks = graph.sites.function[graph.nodes.site] == "arch_alloc_vmap_stack"
    stacks = np.flatnonzero(of_stacks & (graph.nodes.kind == NodeKind.VMALLOC))
    assert len(stacks) == 2
    links = graph.target[np.isin(graph.source, stacks)]
    assert set(graph.sites.function[graph.nodes.site[links]]) == {"__get_vm_area_node"}


@pytest.mark.parametrize(
    ("folder", "variable", "register", "upwards"),
    [
        ("arm64-reach", "irq_stack_ptr", "sp", True),
        ("7.3-reach", "hardirq_stack_ptr", "rsp", False),
    ],
)
def test_the_stack_of_an_interrupt_that_is_handled(
    folder: str, variable: str, register: str, upwards: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the CPU had been stopped in the middle of one: what lies above its stack pointer."""
    dump = allocdump.open(core(folder))
    size = task_roots.stack_size(dump.prog)
    base = dump.prog.read_u64(
        dump.prog.symbol(variable).address + int(dump.kernel.cpus.offsets[0]) & (1 << 64) - 1
    )
    # x86 has the last word of the stack there.
    end = base + size if upwards else base + 8
    pointer = end - size // 2
    running = task_roots.registers_of
    monkeypatch.setattr(
        task_roots, "registers_of", lambda task: running(task) and {register: pointer}
    )
    graph = dump.graph()
    stacks = {i: r for i, r in enumerate(graph.roots) if r.where == "interrupt stack"}
    spans = {(r.tier, r.start, r.size) for r in stacks.values()}
    assert spans == {(Tier.STACK, pointer, size // 2)}
    words = np.frombuffer(dump.prog.read(pointer, size // 2), np.uint64)
    held = graph.scanner.pointers.targets(words)
    assert (held != NOTHING).any()
    for root in stacks:  # of each task that was running
        assert set(graph.target[graph.source == len(graph.nodes) + root]) == set(
            held[held != NOTHING]
        )
