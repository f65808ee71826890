# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bios that each CPU keeps for the next user: their words are of the last one.

Mirrors ``bio_put_percpu_cache()`` in ``block/bio.c``, which tells kmemleak, too, that they are
free. All sets of bios with such caches are instances of the state ``CPUHP_BIO_DEAD`` of
``kernel/cpu.c``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from drgn import offsetof, sizeof

from ..arrays import U64
from ..kernel.kernel import Kernel
from ..kernel.walk import ReadErrors
from .hotplug import instances
from .nodes import Spans

_MOST = 1 << 11
"""Of a list: ``ALLOC_CACHE_MAX`` is 256."""


def cached_bios(kernel: Kernel) -> Spans:
    """All of these bios, with what is around them, but for the links of their lists."""
    found = Spans.none()
    with suppress(*ReadErrors):
        bio = kernel.prog.type("struct bio")
        link = np.uint64(offsetof(bio, "bi_next"))
        for bios, front, back in _sets(kernel):
            start, end = bios - front, bios + np.uint64(sizeof(bio)) + back
            none = np.zeros(len(bios), np.int32)
            found = Spans.join(
                found,
                Spans.of(start, bios + link, none),
                Spans.of(bios + link + np.uint64(8), end, none),
            )
    return found


def _sets(kernel: Kernel) -> Iterator[tuple[U64, np.uint64, np.uint64]]:
    """Cached bios of each set, and what its bios have before and behind them, in bytes."""
    for bios in instances(kernel.prog, "CPUHP_BIO_DEAD", "struct bio_set", "cpuhp_dead"):
        front, back = (np.uint64(bios.member_(f"{end}_pad").value_()) for end in ("front", "back"))
        yield _cached(kernel, bios.cache.value_()), front, back


def _cached(kernel: Kernel, cache: int) -> U64:
    """Bios on the lists of all CPUs of a set, each once.

    :param cache: its ``struct bio_alloc_cache __percpu *``
    """
    type_ = kernel.prog.type("struct bio_alloc_cache")
    lists = [m for m in type_.members or () if m.name and m.name.startswith("free_list")]
    copies = np.uint64(cache) + kernel.cpus.offsets
    at = np.concatenate([copies + np.uint64(m.offset) for m in lists])
    link = np.uint64(offsetof(kernel.prog.type("struct bio"), "bi_next"))
    found = []
    for _ in range(_MOST):
        words, readable = kernel.memory.words(at)
        bios = words[readable & (words != 0)]
        if not len(bios):
            break
        found.append(bios)
        at = bios + link
    return np.unique(np.concatenate([np.zeros(0, np.uint64), *found]))
