# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bulk helpers against those for one object, which go another way through the same memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drgn import Object
from drgn.helpers.linux.mm import pfn_to_page
from drgn.helpers.linux.slab import find_slab_cache

from allocdump.drgn.helpers import (
    alloc_tag_arrays,
    page_alloc_tag,
    page_alloc_tag_arrays,
    percpu_alloc_tag,
    percpu_alloc_tag_arrays,
    slab_alloc_tag_arrays,
    slab_object_alloc_tag,
    vmalloc_alloc_tag,
    vmalloc_alloc_tag_arrays,
)

from ..dumpdata import CORES_WITH_TRUTH, core, name, open_core, recorded, truth

WHOLE = [c for c in CORES_WITH_TRUTH if c.suffix != ".d31"]
whole_dumps = pytest.mark.parametrize("path", WHOLE, ids=name)


def some(count: int) -> range:
    """Indices of at most 300 of so many: one by one, they take the longer way."""
    return range(0, count, -(-count // 300) or 1)


@whole_dumps
def test_sites(path: Path) -> None:
    sites = alloc_tag_arrays(open_core(path).prog)
    kernels = [line.split()[:2] for line in truth(path).splitlines()[2:]]
    registered = sites.take(~sites.unloaded)
    assert registered.bytes.tolist() == [int(size) for size, _ in kernels]
    assert registered.calls.tolist() == [int(calls) for _, calls in kernels]


@whole_dumps
def test_pages(path: Path) -> None:
    dump = open_core(path)
    pages = page_alloc_tag_arrays(dump.prog)
    assert (np.diff(pages.pfn) > 0).all()
    for i in some(len(pages)):
        assert page_alloc_tag(pfn_to_page(dump.prog, pages.pfn[i])).value_() == pages.tag[i]
    tagged = dump.origins.tagged
    batches = [b.take((b.site >= 0) & (b.site < tagged)) for b in dump.pages()]
    known = np.isin(pages.tag, dump.report().sites.address)
    assert pages.pfn[known].tolist() == [pfn for b in batches for pfn in b.pfn.tolist()]
    of_orders = [b.pages[~b.inferred] for b in batches]
    assert (1 << pages.order.astype(np.int64)).sum() >= np.concatenate(of_orders).sum()


CACHES = ("labmod_cache", "kmalloc-256", "dentry", "filp", "cred")


def caches(path: Path) -> list[str]:
    """Those of CACHES that the kernel had, as it said itself."""
    listed = {line.split()[0] for line in (path.parent / "slabinfo").read_text().splitlines()[2:]}
    return [cache for cache in CACHES if cache in listed]


@pytest.mark.parametrize(
    ("cache", "path"),
    [(cache, path) for path in WHOLE for cache in caches(path)],
    ids=lambda value: value if isinstance(value, str) else name(value),
)
def test_objects(cache: str, path: Path) -> None:
    """Since 7.0, objects of the last two carry their extensions themselves."""
    dump = open_core(path)
    slab_cache = find_slab_cache(dump.prog, cache)
    assert slab_cache is not None
    objects = slab_alloc_tag_arrays(slab_cache)
    for i in some(len(objects)):
        tag = slab_object_alloc_tag(dump.prog, int(objects.address[i]))
        assert tag.value_() == objects.tag[i]
    reader = dump.objects()
    index = [c.name for c in reader.caches].index(cache)
    tagged = dump.origins.tagged
    batches = [b.take((b.cache == index) & (b.site >= 0) & (b.site < tagged)) for b in reader]
    assert sorted(objects.address) == sorted(np.concatenate([b.address for b in batches]))
    if cache == "labmod_cache":
        live = [a for kind, a, *_, s, _, _ in recorded(path) if kind == "cache" and s == "live"]
        assert sorted(objects.address.tolist()) == sorted(live)


@whole_dumps
def test_per_cpu_objects(path: Path) -> None:
    prog = open_core(path).prog
    objects = percpu_alloc_tag_arrays(prog)
    live = [r for r in recorded(path) if r[0] == "percpu" and r[4] == "live"]
    assert (len(objects) > 40) == bool(live)
    for pointer, size, tag in zip(objects.ptr, objects.size, objects.tag, strict=True):
        for inside in (int(pointer), int(pointer + size - 1)):
            assert percpu_alloc_tag(prog, inside).value_() == tag


@whole_dumps
def test_vmalloc_areas(path: Path) -> None:
    dump = open_core(path)
    areas = vmalloc_alloc_tag_arrays(dump.prog)
    assert len(areas) > 30
    for address, tag in zip(areas.address.tolist(), areas.tag, strict=True):
        assert vmalloc_alloc_tag(dump.prog, address).value_() == tag
    with_site = sorted(u.area.start for u in dump.vmalloc_areas() if u.site >= 0)
    assert sorted(areas.address.tolist()) == with_site


def test_nothing_is_a_table_of_no_rows() -> None:
    prog = open_core(core("7.2-quiet")).prog
    nothing = slab_alloc_tag_arrays(Object(prog, "struct kmem_cache *", 0))
    word = np.dtype(np.uint64)
    assert (len(nothing), nothing.address.dtype, nothing.tag.dtype) == (0, word, word)
    assert len(percpu_alloc_tag_arrays(open_core(core("6.12-oom")).prog)) == 0
