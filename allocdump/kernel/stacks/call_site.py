# SPDX-License-Identifier: LGPL-2.1-or-later
"""The call site in a stack: the innermost frame that is not of an allocator.

Since Linux 6.10 functions that allocate for their callers, whose call sites are tagged, have names
that end in ``_noprof`` (``alloc_hooks()`` in ``include/linux/alloc_tag.h``), on kernels without
profiling, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..machine.code_names import Place

_SUFFIX = "_noprof"
_KASAN = "kasan_"
"""How the names of KASAN's functions begin, behind underscores: it keeps stacks from there on."""


def from_call_site(stack: Sequence[Place], *, of_page: bool) -> Sequence[Place]:
    """The frames of a stack without those of allocators."""
    return stack[call_site(stack, of_page=of_page) :]


def call_site(stack: Sequence[Place], *, of_page: bool) -> int:
    """Index of the frame that asked for the memory; 0 where nothing tells.

    Between two functions of an allocator there may be one without the suffix.

    :param of_page: whether it is of page_owner, whose stacks begin inside of the page allocator;
        all others begin at whoever called an allocator, which may be one for others
    """
    keeping = [place.function.lstrip("_").startswith(_KASAN) for place in stack]
    first = keeping.index(False) if False in keeping else 0
    allocating = [place.function.partition(".")[0].endswith(_SUFFIX) for place in stack[first:]]
    if True not in allocating[:-1] or not (of_page or allocating[0]):
        return first
    at = allocating.index(True) + 1
    while any(allocating[at : at + 2]) and at + 1 < len(allocating):
        at += 1
    return first + at
