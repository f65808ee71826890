# SPDX-License-Identifier: LGPL-2.1-or-later
"""The account of all memory, on attributions made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from allocdump.analysis.attribution import (
    HUGE_FREE,
    HUGE_USED,
    UNMARKED_LARGE,
    Attribution,
    CacheUse,
    Tally,
)
from allocdump.analysis.usage import Node, Untold, _Usage, divided, usage
from allocdump.arch.base import PageSize
from allocdump.kernel.machine.huge_pools import HugePool
from allocdump.kernel.machine.memory_counters import MemoryCounters
from allocdump.kernel.machine.page_pools import PagePool
from allocdump.kernel.mm.page_types import PageKind
from allocdump.kernel.mm.page_uses import PageUse
from allocdump.kernel.mm.slab import Cache
from allocdump.kernel.tags.cost import ProfilerCost

from ..samples import sites

SITES = sites(
    ("mm/slub.c", 1, "alloc_slab_page", "", 0, 0),
    ("leaker.c", 10, "get_rec", "leaker", 0, 0),
    ("kernel/fork.c", 300, "alloc_thread_stack_node", "", 0, 0),
    ("x.c", 1, "big_table", "", 0, 0),
    ("mm/page_ext.c", 271, "alloc_page_ext", "", 0, 0),
    ("mm/slub.c", 2000, "alloc_slab_obj_exts", "", 0, 0),
    ("mm/percpu.c", 512, "pcpu_mem_zalloc", "", 0, 0),
    ("drivers/iommu/iommu-pages.c", 66, "iommu_alloc_pages_node_sz", "", 0, 0),
    ("drivers/gpu/drm/ttm/ttm_pool.c", 190, "ttm_pool_alloc_page", "ttm", 0, 0),
)
POOLS = [PagePool(1, "eth0", 3), PagePool(2, "", 1), PagePool(3, "eth0", 1)]
COUNT = len(SITES)
STRAY, EMPTY, NONE = COUNT, COUNT + 1, COUNT + 2


def attribution(**changes: Any) -> Attribution:
    kinds = np.zeros((len(PageKind), COUNT + 3), np.int64)
    kinds[PageKind.FREE, NONE] = 100
    kinds[PageKind.FREE_PCP, NONE] = 10
    kinds[PageKind.RESERVED, NONE] = 50
    kinds[PageKind.SLAB, 0] = 4
    kinds[PageKind.ANONYMOUS, 3] = 7
    kinds[PageKind.IN_USE, [1, 2, 3, 4, 6]] = [5, 4, 20, 8, 6]
    kinds[PageKind.IN_USE, [STRAY, EMPTY, NONE]] = [1, 2, 3]
    uses = np.zeros((PageUse.RING + len(POOLS), COUNT + 3), np.int64)
    uses[PageUse.UNMAPPED, 3] = 2
    uses[PageUse.IDLE_AREA, [2, 3]] = 1
    uses[PageUse.AREA, [2, 3]] = 3, 14
    objects = Tally.zeros(COUNT)
    objects.bytes[[1, 5]] = 6 * 1024, 1024
    use = CacheUse(*np.zeros((12, 1), np.int64))
    use.slabs[:], use.pages[:], use.capacity[:] = 1, 4, 15
    use.tagged[:], use.in_use[:], use.unreadable[:], use.untracked[:] = 7, 10, 1, 2
    found = Attribution(
        page=PageSize(12),
        pages=Tally.zeros(COUNT), inferred=Tally.zeros(COUNT), objects=objects,
        percpu=Tally.zeros(COUNT),
        reserved={"System RAM": 30, "Kernel data": 12, "struct pages": 8}, map_known=True,
        kinds=kinds, uses=uses, pools=POOLS, huge=np.zeros(129, np.int64),
        slab=use, caches=[Cache(0, "kmalloc-1k", 1024, 1024, 0)],
        strays={}, unknown_slabs=0, kfence=0,
        percpu_vectors=3 * 4096, page_ext=8 * 4096,
        unreadable_pages=0, problems=[],
    )  # fmt: skip
    return replace(found, **changes)


def tree(
    found: Attribution | None = None, counters: MemoryCounters | None = None, share: float = 1.0
) -> Node:
    return usage(
        SITES, found or attribution(), counters or MemoryCounters(),
        ProfilerCost(tags=280, counters=1000, page_ext_share=share),
    )  # fmt: skip


def flat(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
    yield (*path, node.name), node
    for child in node.children:
        yield from flat(child, (*path, node.name))


def by_name(node: Node) -> dict[str, int]:
    return {path[-1]: n.bytes for path, n in flat(node)}


def test_nothing_remains() -> None:
    found = attribution()
    root = tree(found)
    assert root.bytes == found.kinds.sum() * 4096
    for _, node in flat(root):
        assert not node.children or node.bytes == sum(c.bytes for c in node.children)


def test_classes() -> None:
    sizes = by_name(tree())
    assert sizes["buddy allocator"] == 100 * 4096
    assert sizes["per-CPU lists"] == 10 * 4096
    assert sizes["anonymous memory"] == 7 * 4096
    assert sizes["kernel stacks"] == 4 * 4096
    assert sizes["vmalloc"] == 15 * 4096
    assert sizes["other pages with a site"] == (5 + 5 + 3) * 4096
    assert sizes["other pages without a site"] == 3 * 4096
    assert sizes["other pages that refer to no known tag"] == 4096
    assert sizes["free objects"] == (15 - 10) * 1024
    assert sizes["objects without a site"] == (10 - 7 - 1) * 1024
    assert sizes["objects whose references are not in the dump"] == 1024
    assert sizes["overhead"] == (16 - 15) * 1024
    assert sizes["(mapped by no task)"] == 2 * 4096
    assert sizes["(of no task)"] == 4096
    # A site is named under each class that it has memory in.
    site = "leaker.c:10 get_rec [leaker]"
    of_site = {path[1:-1]: n.bytes for path, n in flat(tree()) if path[-1] == site}
    assert of_site == {
        ("other pages with a site",): 5 * 4096,
        ("slab", "objects by site"): 6 * 1024,
    }


def test_the_profiler_is_carved_out_of_what_hides_it() -> None:
    sizes = by_name(tree())
    assert sizes["page extensions"] == 8 * 4096
    assert sizes["slab extension vectors"] == 1024
    assert sizes["per-CPU extension vectors"] == 3 * 4096
    assert sizes["code tags of the kernel"] == 280
    assert sizes["Kernel data"] == 12 * 4096 - 280
    assert sizes["other memory kept since boot (memblock)"] == 30 * 4096 - 1000


def test_page_extensions_shared_with_others() -> None:
    sizes = by_name(tree(share=0.5))
    assert sizes["page extensions"] == 4 * 4096
    assert tree(share=0.5).bytes == tree().bytes


def test_early_page_extensions_are_among_pages_without_a_site() -> None:
    sizes = by_name(tree(attribution(page_ext=10 * 4096)))
    assert sizes["page extensions"] == 10 * 4096
    assert sizes["other pages without a site"] == 1 * 4096


def test_counters_stand_beside_their_classes() -> None:
    counters = MemoryCounters(present=220, free=100, slab=4, stacks=4, vmalloc=19)
    nodes = {path[-1]: n for path, n in flat(tree(counters=counters))}
    assert nodes["memory"].counter == 220 * 4096
    assert nodes["buddy allocator"].counter == nodes["buddy allocator"].bytes
    assert nodes["slab"].counter == 4 * 4096 - 1024 == nodes["slab"].bytes
    assert nodes["vmalloc"].counter == nodes["vmalloc"].bytes
    assert nodes["anonymous memory"].counter is None


@pytest.mark.parametrize(
    ("compound", "counter", "left"), [(0, 9, 5), (8, 9, 0), (3, 9, 2), (8, 3, -1)]
)
def test_large_kmalloc_that_is_counted_but_not_marked(
    compound: int, counter: int, left: int
) -> None:
    """Until Linux 6.14: as much of the counter as compound pages can explain is no slab."""
    found = attribution()
    found.huge[UNMARKED_LARGE] = compound
    nodes = {path[-1]: n for path, n in flat(tree(found, MemoryCounters(slab=counter)))}
    slab = nodes["slab"]
    assert slab.counter is not None
    assert slab.counter - slab.bytes == left * 4096
    assert ("kmalloc" in slab.note) == (compound > 0 and counter > 4)


def test_pages_from_before_the_extensions() -> None:
    found, none = attribution(), MemoryCounters()
    for deferred, why in ((False, "before profiling was ready"), (True, "early_page_ext")):
        cost = ProfilerCost(280, 1000, 1.0, deferred)
        nodes = {path[-1]: n for path, n in flat(usage(SITES, found, none, cost))}
        assert why in nodes["other pages without a site"].note


def test_a_node_adds_up_and_sorts() -> None:
    node = Node("x").add(Node("small", 1), Node("none", 0), Node("large", 5))
    assert (node.bytes, [c.name for c in node.children]) == (6, ["large", "small"])


def test_classes_can_be_asked_for_in_any_order() -> None:
    cost, counters = ProfilerCost(280, 1000, page_ext_share=0.5), MemoryCounters(vmalloc=100)
    one, other = (
        _Usage(SITES, attribution(), counters, cost, Untold.of(attribution(), counters, cost))
        for _ in range(2)
    )
    profiler, counter = one._profiler(), one._vmalloc_counter()
    other._in_use()
    assert (profiler, counter) == (other._profiler(), other._vmalloc_counter())


def test_huge_pages_by_size_and_free_pages_of_cma() -> None:
    """Three huge pages of 2 MiB, one of them in its pool, and one of 1 GiB."""
    found = attribution()
    found.kinds[PageKind.HUGETLB, NONE] = 3 * 512 + (1 << 18)
    found.huge[[HUGE_USED + 9, HUGE_FREE + 9, HUGE_USED + 18]] = 1024, 512, 1 << 18
    found.uses[PageUse.CMA_FREE, NONE] = 30
    found.uses[PageUse.UNACCEPTED, NONE] = 20
    pools = (HugePool(9, 3, 1, 1, 2), HugePool(18, 1, 0, 0, 0))
    counters = MemoryCounters(free=100, free_cma=31, all_cma=64, unaccepted=21, huge=pools)
    nodes = {path[1:]: node for path, node in flat(tree(found, counters))}
    huge = nodes[("huge pages (hugetlb)",)]
    assert huge.bytes == huge.counter == (3 << 21) + (1 << 30)
    of_size = nodes["huge pages (hugetlb)", "hugepages-2048kB"]
    assert (of_size.bytes, of_size.counter, of_size.note) == (3 << 21, 3 << 21, "2 surplus")
    free = nodes["huge pages (hugetlb)", "hugepages-2048kB", "free"]
    assert (free.bytes, free.counter, free.note) == (1 << 21, 1 << 21, "1 reserved")
    assert nodes["huge pages (hugetlb)", "hugepages-1048576kB", "in use"].bytes == 1 << 30
    cma = nodes["free", "buddy allocator", "of CMA areas"]
    assert (cma.bytes, cma.counter, cma.note) == (30 * 4096, 31 * 4096, "of 256 KiB in all")
    unaccepted = nodes["free", "buddy allocator", "not accepted yet"]
    assert (unaccepted.bytes, unaccepted.counter) == (20 * 4096, 21 * 4096)
    assert nodes["free", "buddy allocator", "of all others"].bytes == 50 * 4096


def test_special_pages_are_classes_of_their_own() -> None:
    """Pages of other sites than the account knows by role, and of no site."""
    found = attribution()
    before = by_name(tree(found))
    in_use, uses = found.kinds[PageKind.IN_USE], found.uses
    in_use[[3, 7, 8, NONE]] += 10, 2, 3, 3
    uses[PageUse.ZSPAGE, [3, NONE]] = 5, 1
    uses[PageUse.SECONDARY_TABLE, 3] = 1
    uses[[PageUse.RING, PageUse.RING + 1, PageUse.RING + 2], [3, 3, NONE]] = 3, 1, 2
    uses[PageUse.KSM, 3] = 1
    found.kinds[PageKind.CACHE, [3, NONE]] = 6, 1
    uses[PageUse.GUEST, [3, NONE]] = 2, 1
    found.kinds[PageKind.POISONED, NONE] = 1
    counters = MemoryCounters(
        present=1, zspages=6, secondary_tables=4, gpu=3, ksm=1, balloon=1, poisoned=1
    )
    root = tree(found, counters)
    assert root.bytes == found.kinds.sum() * 4096
    nodes = {path[1:]: (n.bytes // 4096, n.counter and n.counter // 4096) for path, n in flat(root)}
    big = "x.c:1 big_table"
    assert nodes["compressed memory (zram, zswap)",] == (6, 6)
    assert nodes["compressed memory (zram, zswap)", big] == (5, None)
    assert nodes["secondary page tables",] == (1 + 2, 4)
    assert nodes["secondary page tables", SITES.label(7)] == (2, None)
    assert nodes["graphics drivers (TTM)",] == (3, 3)
    assert nodes["network rings (page_pool)",] == (6, 5)
    assert nodes["network rings (page_pool)", "eth0"] == (5, 4)
    assert nodes["network rings (page_pool)", "(no device)"] == (1, 1)
    assert nodes["anonymous memory",][0] == 7
    assert nodes["anonymous memory", "(merged by KSM)"] == (1, 1)
    assert nodes["anonymous memory", big] == (4, None)
    assert nodes["page cache",][0] == 7
    assert nodes["page cache", "(guest_memfd)"] == (3, None)
    assert nodes["page cache", big] == (4, None)
    assert nodes["poisoned (hardware errors)",] == (1, 1)
    assert nodes["offline (balloon)",] == (0, 1)
    after = by_name(root)
    for name in ("other pages with a site", "other pages without a site", "vmalloc"):
        assert after[name] == before[name]


def test_parts_share_what_only_the_sum_is_known_of() -> None:
    """Two halves of the same memory: each has room for some of it."""
    whole = attribution()
    half = replace(whole, kinds=whole.kinds // 2, uses=whole.uses // 2)
    rest = replace(
        whole, kinds=whole.kinds - half.kinds, uses=whole.uses - half.uses,
        objects=Tally.zeros(COUNT), slab=CacheUse(*np.zeros((12, 1), np.int64)),
        reserved={}, page_ext=0,
    )  # fmt: skip
    half = replace(half, page_ext=whole.page_ext)
    cost, none = ProfilerCost(280, 1000, page_ext_share=1.0), MemoryCounters()
    root = divided(SITES, whole, [("a", half), ("b", rest)], none, cost)
    sizes = {"/".join(path[1:]): node.bytes for path, node in root.walk()}
    vectors = "allocation profiler/per-CPU extension vectors"
    assert sizes[f"a/{vectors}"] + sizes.get(f"b/{vectors}", 0) == whole.percpu_vectors
    assert sizes["a/allocation profiler/code tags of the kernel"] == 280
    assert [node.name for node in root.children] == ["a", "b"]
