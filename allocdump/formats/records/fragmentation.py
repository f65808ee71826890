# SPDX-License-Identifier: LGPL-2.1-or-later
"""Zones in blocks of one order, and what stands in the way of these, as a record."""

from __future__ import annotations

from collections.abc import Iterator

from ...analysis.fragmentation import Fragmentation, ZoneBlocks
from ...kernel.machine.free_lists import fragmentation_index, unusable_index
from ..spreadsheet import csv_lines
from .json_text import Record, document
from .site import ORIGIN_FIELDS, origin_record

_FIELDS = (
    "node",
    "zone",
    "gives",
    "gives_whole",
    "gives_bytes",
    "gives_empty",
    "blocks",
    "bytes",
)


def as_json(found: Fragmentation, state: str = "dead") -> str:
    """One document.

    :param state: of the kernel while it was read
    """
    return document(
        "usage",
        1,
        state=state,
        order=found.order,
        zones=[_zone(zone, found.order, found.page.bytes) for zone in found.zones],
        unmovable=list(_rows(found)),
    )


def as_csv(found: Fragmentation) -> Iterator[str]:
    """One row for each origin in each zone."""
    return csv_lines(_rows(found), (*_FIELDS, *ORIGIN_FIELDS))


def _zone(zone: ZoneBlocks, order: int, page: int) -> Record:
    state, lists = zone.state, zone.free
    types = {} if lists is None else dict(zip(lists.types, lists.blocks.tolist(), strict=True))
    return {
        "node": state.node,
        "zone": state.name,
        "free": state.free * page,
        "blocks": zone.blocks,
        "free_blocks": zone.whole,
        "movable_blocks": zone.movable,
        "free_by_order": list(state.free_blocks),
        "free_by_type": types,
        "fragmentation_index": [
            None if (index := fragmentation_index(state, n)) < 0 else index / 1000
            for n in range(len(state.free_blocks))
        ],
        "unusable_index": [unusable_index(state, n) / 1000 for n in range(len(state.free_blocks))],
        "unusable": unusable_index(state, order) / 1000,
    }


def _rows(found: Fragmentation) -> Iterator[Record]:
    rows, origins = found.rows, found.origins
    for i in range(len(rows)):
        zone, row = found.zones[int(rows.zone[i])].state, int(rows.row[i])
        known = row < len(origins)
        origin = origin_record(origins.name(row) if known else None)
        if not known:
            origin["name"] = found.name(row)
        numbers = {name: int(getattr(rows, name)[i]) for name in _FIELDS[2:]}
        yield {"node": zone.node, "zone": zone.name, **numbers, **origin}
