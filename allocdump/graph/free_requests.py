# SPDX-License-Identifier: LGPL-2.1-or-later
"""Requests of block devices that wait for their next user: their words are of the last one.

A queue allocates all of its requests when it is made. Mirrors ``blk_mq_free_request()`` in
``block/blk-mq.c``: whoever has a request has a reference to it. What a driver keeps behind the
request stays as it is, and counts: buffers that it allocated once for all may be there.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from drgn import Object, offsetof, sizeof

from ..arrays import U64
from ..kernel.kernel import Kernel
from ..kernel.walk import ReadErrors, bounded_count
from .hotplug import instances
from .nodes import Spans

_MOST = 1 << 20
"""Of a queue: ``BLK_MQ_MAX_DEPTH`` is 10240."""


def free_requests(kernel: Kernel) -> Spans:
    """The ``struct request`` of each that nobody has."""
    found = [np.zeros(0, np.uint64)]
    with suppress(*ReadErrors):
        type_ = kernel.prog.type("struct request")
        count = np.uint64(offsetof(type_, "ref"))
        context = ("struct blk_mq_hw_ctx", "cpuhp_dead")
        for queue in instances(kernel.prog, "CPUHP_BLK_MQ_DEAD", *context):
            for tags in (queue.tags, queue.sched_tags):
                with suppress(*ReadErrors):
                    requests = _of(kernel, tags)
                    references, readable = kernel.memory.u32(requests + count)
                    found.append(requests[readable & (references == 0)])
    start = np.unique(np.concatenate(found))
    if not len(start):
        return Spans.none()
    return Spans.of(start, start + np.uint64(sizeof(type_)), np.zeros(len(start), np.int32))


def _of(kernel: Kernel, tags: Object) -> U64:
    """All requests of a set of tags (``struct blk_mq_tags *``), which may be NULL."""
    if not tags:
        return np.zeros(0, np.uint64)
    count = bounded_count(tags.nr_tags.value_(), _MOST, "the number of a queue's requests")
    first = np.uint64(tags.static_rqs.value_())
    words, readable = kernel.memory.words(first + np.arange(count, dtype=np.uint64) * np.uint64(8))
    requests: U64 = words[readable & (words != 0)]
    return requests
