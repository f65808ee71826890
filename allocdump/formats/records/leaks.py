# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lost memory as records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...graph.nodes import NodeKind
from ...kernel.tags.sites import Sites
from .json_text import Record
from .site import ORIGIN_FIELDS, origin_record

if TYPE_CHECKING:
    from ...analysis.leaks import Leaks
    from ...analysis.wrappers import Wrappers

EACH = ("address", "bytes", "kind", "head", "verdict", *ORIGIN_FIELDS)
SUMS = (
    "lost", "undecided", "allocations", "held", "held_allocations", "share", "heads", "cluster",
    "cluster_allocations", "confidence", *ORIGIN_FIELDS, "reason",
    "sizes", "holders",
)  # fmt: skip

GROUPS = ("lost", "undecided", "allocations", "held", "held_allocations", "heads")
"""Fields of SUMS that can be added up."""


def sums(
    sites: Sites,
    found: Leaks,
    callers: Wrappers,
    chosen: npt.NDArray[np.bool_],
    min_size: int = 0,
) -> Iterator[Record]:
    """One record for each origin that lost memory, most first.

    :param callers: signs of origins that allocate for others
    :param chosen: origins that are wanted, shape (number of origins,)
    :param min_size: bytes that they lost, with what was lost with them
    """
    lost = found.lost
    for i, row in enumerate(lost.site.tolist()):
        size, held = int(lost.bytes[i]), int(lost.held_bytes[i])
        undecided = lost.confidence[i] == "undecided"
        if not chosen[row] or max(size, int(lost.cluster_bytes[i])) < min_size:
            continue
        yield {
            "lost": 0 if undecided else size,
            "undecided": size if undecided else 0,
            "allocations": int(lost.allocations[i]),
            "held": held,
            "held_allocations": int(lost.held_allocations[i]),
            "share": size / (size + held),
            "heads": int(lost.heads[i]),
            "cluster": int(lost.cluster_bytes[i]),
            "cluster_allocations": int(lost.cluster_allocations[i]),
            "confidence": str(lost.confidence[i]),
            **origin_record(sites.name(row)),
            "reason": lost.reason[i],
            "sizes": int(callers.sizes[row]),
            "holders": int(callers.holders[row]),
        }


def wanted(found: Leaks, chosen: npt.NDArray[np.bool_], min_size: int = 0) -> npt.NDArray[np.bool_]:
    """Mark the origins that :func:`sums` has a record of: shape (number of origins,)."""
    lost, marks = found.lost, np.zeros(len(chosen), np.bool_)
    marks[lost.site[np.maximum(lost.bytes, lost.cluster_bytes) >= min_size]] = True
    return marks & chosen


def each(sites: Sites, found: Leaks, chosen: npt.NDArray[np.bool_]) -> Iterator[Record]:
    """One record for each lost allocation."""
    nodes = found.graph.nodes
    each = zip(found.node.tolist(), found.head.tolist(), found.is_lost.tolist(), strict=True)
    for node, head, lost in each:
        row = int(nodes.site[node])
        if chosen[row]:
            yield {
                "address": f"{int(nodes.address[node]):#x}",
                "bytes": int(nodes.size[node]),
                "kind": NodeKind(nodes.kind[node]).name.lower(),
                "head": f"{int(nodes.address[head]):#x}",
                "verdict": "lost" if lost else "undecided",
                **origin_record(sites.name(row)),
            }
