# SPDX-License-Identifier: LGPL-2.1-or-later
"""Objects in use by slab cache, against /proc/slabinfo from just before the crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from .. import dumpdata

WITH_SLABINFO = [
    core
    for core in dumpdata.CORES + dumpdata.STOCK_CORES
    if (core.parent / "slabinfo").exists()
    and core.name == "vmcore"
    and core.parent.name != "tiny-noprofiling"  # no types
    and core.parent.name != "7.3-stacks"  # a hundred tasks came and went after it was read
]


def slabinfo(core: Path) -> dict[str, tuple[int, int]]:
    """Active objects and all objects of each cache."""
    rows = (line.split() for line in (core.parent / "slabinfo").read_text().splitlines()[2:])
    return {words[0]: (int(words[1]), int(words[2])) for words in rows}


@pytest.mark.parametrize("core", WITH_SLABINFO, ids=dumpdata.name)
def test_objects_in_use_are_what_slabinfo_says(core: Path) -> None:
    """For every cache: references or none, what is in use, the free lists tell.

    The kernel counts as active what is free on a CPU's list, in slabs that CPUs keep (until
    Linux 6.19) or in a sheaf: those are the cached ones. After the file was read, the machine
    went on: a cache that grew has more active objects by then, at most those of its new slabs and
    what a CPU takes at once; and while a machine ran out of memory, those that were free. What was
    freed under KASAN stays in use for a while.
    """
    eaten = "oom" in core.parent.name or "stock" in core.parent.name
    eaten &= "quiet" not in core.parent.name
    eaten |= "kasan" in core.parent.name
    found = dumpdata.open_core(core).attribution()
    truth = slabinfo(core)
    rows = [i for i, cache in enumerate(found.caches) if cache.name in truth]
    assert len(rows) > 0.9 * len(truth) > 50
    same = steady = 0
    for i in rows:
        active, room = truth[found.caches[i].name]
        grown = int(found.slab.capacity[i]) - room
        more = int(found.slab.in_use[i] + found.slab.cached[i]) - active
        most = max(found.caches[i].sheaf_capacity, 64)
        least = min(0, grown) - most
        most += max(0, grown) + (room - active if eaten else 0)
        assert least <= more <= most, found.caches[i].name
        steady += grown == 0
        same += grown == 0 and more == 0
    # Modules of 7.3-cgroups allocate after the file was read; KASAN keeps what is freed then.
    moved = core.parent.name in ("7.3-cgroups", "7.3-kasan")
    assert same >= (0.75 if moved else 0.85) * steady
    assert steady >= 0.6 * len(rows)


def test_free_objects_in_sheaves_of_all_nodes_are_free() -> None:
    """With two nodes: active objects, less those in sheaves of either, are those with a site.

    In caches of kmalloc() are also objects that are never given a reference: extension vectors.
    """
    core = dumpdata.core("7.2-quiet")
    found = dumpdata.open_core(core).attribution()
    use, truth = found.slab, slabinfo(core)
    compared = 0
    for i, cache in enumerate(found.caches):
        active, room = truth.get(cache.name, (0, 0))
        if cache.name.startswith("kmalloc-") or use.untracked[i] or use.capacity[i] != room:
            continue
        assert use.in_use[i] == use.tagged[i], cache.name
        if use.in_use[i] + use.cached[i] == active:
            assert active - use.cached[i] == use.tagged[i]
            compared += active > 0
    assert compared > 30
