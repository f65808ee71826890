# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sentences on origins that stand in the way of large pieces of memory."""

from __future__ import annotations

from ..sentence import Sentence, say
from .fragmentation import Fragmentation

_TOLD = 3
"""Sentences."""


def rows_in_the_way(found: Fragmentation, most: int = _TOLD) -> list[int]:
    """Indexes in :attr:`.fragmentation.Fragmentation.rows`: what the kernel could free without
    which there would be most blocks, most first."""
    rows = found.rows
    some = (i for i in range(len(rows)) if rows.gives[i] and found.can_go(int(rows.row[i])))
    return [i for i, _ in zip(some, range(most), strict=False)]


def most_in_the_way(found: Fragmentation) -> list[Sentence]:
    """Sentences on the blocks that freeing each of them would give."""
    return [_sentence(found, i) for i in rows_in_the_way(found)]


def _sentence(found: Fragmentation, i: int) -> Sentence:
    rows = found.rows
    zone = found.zones[int(rows.zone[i])].state
    blocks, whole = int(rows.gives[i]), int(rows.gives_whole[i])
    empty = ", {empty:bytes} of it free objects," if rows.gives_empty[i] else ""
    rest = ", {whole:count} of them at once, the others by compaction" if whole < blocks else ""
    return say(
        "freeing the {size:bytes} of {name} in {zone}" + empty + " would give"
        " {blocks:count block} of order {order:number}" + rest,
        size=int(rows.gives_bytes[i]),
        name=found.name(int(rows.row[i])),
        zone=f"node {zone.node} {zone.name}",
        empty=int(rows.gives_empty[i]),
        blocks=blocks,
        whole=whole,
        order=found.order,
    )
