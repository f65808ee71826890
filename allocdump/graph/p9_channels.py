# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scatter lists of 9p's channels: they name the pages of requests that were sent long ago.

Mirrors ``p9_virtio_request()`` and ``p9_virtio_zc_request()`` in ``net/9p/trans_virtio.c``. A
list is written and handed to the queue, which copies what it has, under the channel's lock; the
memory is the request's, or pinned by who asked. Without the lock nobody looks at it.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from drgn import Object, offsetof, sizeof

from ..kernel.kernel import Kernel
from ..kernel.walk import ReadErrors
from .nodes import Spans

_MOST = 1000


def used_scatter_lists(kernel: Kernel) -> Spans:
    """Those of all channels whose lock is free."""
    found: list[int] = []
    size = 0
    with suppress(*ReadErrors):
        prog = kernel.prog
        type_ = prog.type("struct virtio_chan")
        (symbol,) = prog.symbols("virtio_chan_list")
        size = sizeof(type_.member("sg").type)
        link = Object(prog, "struct list_head", address=symbol.address).next.read_()
        for _ in range(_MOST):
            if link.value_() == symbol.address:
                break
            channel = link.value_() - offsetof(type_, "chan_list")
            lock = prog.read_u32(channel + offsetof(type_, "lock"))
            if not lock:
                found.append(channel + offsetof(type_, "sg"))
            link = link.next.read_()
    start = np.array(found, np.uint64)
    return Spans.of(start, start + np.uint64(size), np.zeros(len(start), np.int32))
