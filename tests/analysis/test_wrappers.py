# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sites whose objects are of many sizes, in real dumps."""

from __future__ import annotations

import pytest

from allocdump.analysis.wrappers import MANY, sizes

from ..dumpdata import core, open_core


@pytest.mark.parametrize("folder", ["6.12-oom", "7.3-after"])
def test_sites_that_allocate_for_others(folder: str) -> None:
    dump = open_core(core(folder))
    sites = dump.report().sites
    found = sizes(dump.object_totals(), len(sites))

    def of(function: str) -> int:
        return int(found[sites.function == function].max())

    # A cache for each of its sizes: bpf_mem_alloc_init().
    assert of("__alloc") == 11
    assert of("alloc_slab_obj_exts") >= MANY
    assert of("alloc_inode") == 1
    assert 0 < (found >= MANY).sum() < len(sites) / 50
