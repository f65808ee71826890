# SPDX-License-Identifier: LGPL-2.1-or-later
"""The call site in a stack, by the names of its frames."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from allocdump.kernel.stacks.call_site import call_site


@pytest.mark.parametrize(
    ("names", "of_page", "found"),
    [
        ("user caller", False, 0),
        ("kvmalloc_node_noprof user caller", False, 1),
        ("alloc_frozen_pages_noprof alloc_pages_noprof user caller", True, 2),
        ("user alloc_pages_noprof caller", False, 0),
        ("kasan_save_stack kasan_save_track __kasan_kmalloc user caller", False, 3),
        ("kasan_save_stack __kasan_slab_alloc kmem_cache_alloc_noprof user caller", False, 3),
        ("kasan_save_stack kasan_save_track", False, 0),
    ],
)
def test_call_site(names: str, of_page: bool, found: int) -> None:
    stack: Any = [SimpleNamespace(function=name) for name in names.split()]
    assert call_site(stack, of_page=of_page) == found
