# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names of merged slab caches, against the kernel's count of them."""

from __future__ import annotations

from collections import Counter

import pytest

from allocdump.kernel.mm.merged_caches import merged_names
from allocdump.kernel.mm.slab import slab_caches

from ...dumpdata import core, open_core


@pytest.mark.parametrize("folder", ["stock-6.12-sockets", "stock-7.3-inodes"])
def test_each_cache_has_as_many_names_as_users(folder: str) -> None:
    """``kmem_cache.refcount`` counts them."""
    prog = open_core(core(folder)).prog
    found = merged_names(prog)
    assert not found.problems
    names = Counter(address for address, _ in found)
    shared = {
        c.address: c.name for c in slab_caches(prog)[0] if c.shared and "kmalloc" not in c.name
    }
    assert len(shared) > 20
    assert {a for a, n in names.items() if n > 1} == set(shared)
    of_epoll = {address for address, name in found if name == "eventpoll_pwq"}
    assert [shared[address] for address in of_epoll] == ["anon_vma_chain"]


def test_a_kernel_without_sysfs() -> None:
    assert list(merged_names(open_core(core("7.3-tiny")).prog)) == []
