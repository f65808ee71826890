# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cgroups and nodes of memory that a module allocated in several of both, against its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from allocdump.analysis.groups import group
from allocdump.analysis.keys import KEYS, Allocations
from allocdump.analysis.totals import object_sums, page_sums
from allocdump.session import Session

from ..dumpdata import TESTDATA, core, open_core
from .test_charges import charged, memory_stat

FOLDER = TESTDATA / "7.3-cgroups"
DUMP = core("7.3-cgroups")
PAGE = 4096
BATCH = 64 * PAGE
"""MEMCG_CHARGE_BATCH: what a CPU counts before a cgroup's statistics hear of it."""

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the dump is not there")

OF_OBJECTS = ("kmalloc", "cache", "uncharged", "percpu")


def recorded_places(path: Path) -> Iterator[tuple[str, int, int, str, int | None]]:
    """(kind, address, size, cgroup, node) of what the module has."""
    for line in (path.parent / "truth.allocations").read_text().splitlines():
        words = line.split()
        if line.startswith("#") or words[6] != "charged":
            continue
        node = int(words[7])
        cgroup = "(not charged)" if words[8] == "-" else words[8]
        yield words[0], int(words[1], 16), int(words[2]), cgroup, None if node < 0 else node


def chargeable(dump: Session, pointer: int) -> bool:
    """False for per-CPU objects of the first chunks, which the kernel charges to nobody."""
    chunks = dump.pagemap.percpu_chunks
    return any(c.charges and c.start <= pointer < c.start + c.span for c in chunks)


def test_sums_by_cgroup_and_node_are_what_the_module_recorded() -> None:
    """Exactly: its objects by number, its pages by bytes, for each of its lines."""
    dump = open_core(DUMP)
    chosen = dump.origins.module == "charged"
    keys = [KEYS["file"], KEYS["function"], KEYS["cgroup"], KEYS["node"]]
    kernel = dump.kernel
    objects = [b.take((b.site >= 0) & chosen[b.site]) for b in dump.objects()]
    pages = [b.take((b.site >= 0) & chosen[b.site]) for b in dump.pages()]
    by_objects = group(
        keys,
        dump.names,
        ["objects"],
        [(Allocations.of_objects(b, kernel), object_sums(b)) for b in objects],
    )
    by_pages = group(
        keys,
        dump.names,
        ["bytes"],
        [(Allocations.of_pages(b), page_sums(b, kernel.page)) for b in pages],
    )
    found = Counter[tuple[object, ...]]()
    for one in by_objects:
        found[one.labels[2:]] += one.sums["objects"]
    for one in by_pages:
        found["pages", *one.labels[2:]] += one.sums["bytes"]
    truth = Counter[tuple[object, ...]]()
    for kind, address, size, cgroup, node in recorded_places(DUMP):
        if kind == "percpu" and not chargeable(dump, address):
            continue
        if kind in OF_OBJECTS:
            truth[cgroup, node] += 1
        else:
            truth["pages", cgroup, node] += size
    # The module's own notes of what it has are objects, too.
    own = found["(not charged)", 0] + found["(not charged)", 1]
    own -= truth["(not charged)", 0] + truth["(not charged)", 1]
    assert 0 < own < 10
    for node in (0, 1):
        del found["(not charged)", node], truth["(not charged)", node]
    assert found == truth
    assert {labels[-2] for labels in truth} == {"/first", "/second", "/outer"}
    assert {labels[-1] for labels in truth} == {0, 1, None}


@pytest.mark.parametrize("path", ["/first", "/second", "/outer"])
def test_every_cgroup_has_what_its_own_statistics_say(path: str) -> None:
    found, truth = charged(open_core(DUMP), path), memory_stat(DUMP, path)
    assert found["ANONYMOUS"] == truth["anon"]
    assert found["CACHE"] + found["SHMEM"] == truth["file"]
    assert found["PAGE_TABLE"] == truth["pagetables"]
    assert found["percpu"] == truth["percpu"] > 0
    slab = truth["slab_reclaimable"] + truth["slab_unreclaimable"]
    assert abs(found["slab"] + found["LARGE_KMALLOC"] - slab) <= BATCH
    kernel = found["IN_USE"] + found["PAGE_TABLE"] + found["LARGE_KMALLOC"]
    # A cgroup is charged whole pages for its objects.
    assert abs(kernel + found["slab"] + found["percpu"] - truth["kernel"]) <= BATCH
    assert truth["vmalloc"] <= found["IN_USE"]
