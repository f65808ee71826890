# SPDX-License-Identifier: LGPL-2.1-or-later
"""Objects in use by slab cache, against /proc/slabinfo from just before the crash."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from allocdump.analysis.attribution import Attributor
from allocdump.kernel.mm.pagemap import PageMap

from .. import dumpdata

QUIET = [
    core
    for core in dumpdata.CORES + dumpdata.STOCK_CORES
    if (core.parent / "slabinfo").exists()
    and core.name == "vmcore"
    and "oom" not in core.parent.name
    and (core not in dumpdata.STOCK_CORES or "quiet" in core.parent.name)
    and core.parent.name != "tiny-noprofiling"  # no types
]


def slabinfo(core: Path) -> dict[str, tuple[int, int]]:
    """Active objects and all objects of each cache."""
    rows = (line.split() for line in (core.parent / "slabinfo").read_text().splitlines()[2:])
    return {words[0]: (int(words[1]), int(words[2])) for words in rows}


@pytest.mark.parametrize("core", QUIET, ids=dumpdata.name)
def test_objects_in_use_are_what_slabinfo_says(core: Path) -> None:
    """References or none: what is in use, the free lists tell.

    The kernel counts as active what is free on a CPU's list, in a CPU's partial slabs (until
    Linux 6.19) or in a sheaf.
    """
    opened = dumpdata.open_core(core)
    pagemap = PageMap(opened.kernel, np.zeros(0, np.uint64))
    attributor = Attributor(pagemap)
    pagemap.show(attributor)
    found = attributor.result()
    active = found.slab.in_use + pagemap.free_in_use
    truth = slabinfo(core)
    rows = [i for i, cache in enumerate(found.caches) if cache.name in truth]
    assert len(rows) > 0.9 * len(truth) > 50
    partial = any(cache.cpu_slab for cache in found.caches)
    wrong = 0
    for i in rows:
        kernels = truth[found.caches[i].name][0]
        # A CPU keeps up to some 30 objects' worth of partial slabs.
        less = int(kernels - active[i])
        wrong += not 0 <= less <= 2 * 64 * partial
    assert wrong <= 0.15 * len(rows)
    room = sum(truth[found.caches[i].name][1] for i in rows)
    assert abs(int(found.slab.capacity[rows].sum()) - room) < 0.04 * room
