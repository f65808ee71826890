# SPDX-License-Identifier: LGPL-2.1-or-later
"""Zones in blocks of one order, and what stands in the way of these, as a document."""

from __future__ import annotations

from ..analysis.fragmentation import Fragmentation
from ..analysis.in_the_way import most_in_the_way
from ..analysis.report import Report
from ..kernel.machine.free_lists import fragmentation_index, unusable_index
from .header import about
from .model import NOT_APPLICABLE, Absent, Cell, Column, Document, Item, Items, Section, Table

_MOST = 20
"""Rows of what is in the way."""
_SUITABLE = Absent("a request of this order would not fail for fragmentation", "")


def document(report: Report, found: Fragmentation, problems: list[str]) -> Document:
    """Free blocks, blocks by what is in them, and origins in the way.

    :param problems: sentences on how it was counted, besides the report's warnings
    """
    out = about(report, "Fragmentation", problems)
    out.sections = [
        Section("Zones", [_zones(found)]),
        Section("Free blocks by order", [_free(found)]),
        Section("What stands in the way", [_told(found), _rows(found)]),
    ]
    return out


def _told(found: Fragmentation) -> Items:
    return Items([Item(sentence) for sentence in most_in_the_way(found)])


def _zones(found: Fragmentation) -> Table:
    order, rows = found.order, []
    for zone in found.zones:
        state = zone.state
        index = fragmentation_index(state, order)
        cells: list[Cell] = [
            state.node,
            state.name,
            state.free * found.page.bytes,
            zone.blocks,
            zone.whole,
            zone.movable,
            zone.blocks - zone.whole - zone.movable,
            unusable_index(state, order) / 1000,
            _SUITABLE if index < 0 else f"{index / 1000:.3f}",
        ]
        rows.append(cells)
    return Table(
        [
            Column("node", "number"),
            Column("zone", priority=0),
            Column("free", "bytes"),
            Column("blocks", "count", f"Blocks of order {order}", priority=0),
            Column("whole", "count", "Free", priority=0),
            Column("movable", "count", priority=0),
            Column("unmovable", "count", priority=0),
            Column("unusable", "share", "Unusable free", priority=2),
            Column(
                "index", "text", "Fragmentation index", priority=3, align="right", keep="if said"
            ),
        ],
        rows,
        noun="zone",
    )


def _free(found: Fragmentation) -> Table:
    orders = max((len(zone.state.free_blocks) for zone in found.zones), default=0)
    rows: list[list[Cell]] = []
    for zone in found.zones:
        state, lists = zone.state, zone.free
        place: list[Cell] = [state.node, state.name]
        if lists is not None:
            for name, blocks in zip(lists.types, lists.blocks.tolist(), strict=True):
                if any(blocks):
                    rows.append([*place, name, *blocks])
            if lists.more.any():
                rows.append([*place, "not followed", *lists.more.tolist()])
        rows.append([*place, "all", *state.free_blocks])
    return Table(
        [
            Column("node", "number"),
            Column("zone", priority=0),
            Column("type", priority=0),
            *(Column(f"order_{n}", "count", str(n), priority=0) for n in range(orders)),
        ],
        rows,
    )


def _rows(found: Fragmentation) -> Table:
    rows = found.rows
    cells: list[list[Cell]] = []
    for i in range(min(len(rows), _MOST)):
        zone = found.zones[int(rows.zone[i])].state
        cells.append(
            [
                int(rows.gives[i]),
                int(rows.gives_whole[i]),
                int(rows.gives_bytes[i]),
                int(rows.gives_empty[i]) or NOT_APPLICABLE,
                int(rows.blocks[i]),
                int(rows.bytes[i]),
                zone.node,
                zone.name,
                found.name(int(rows.row[i])),
            ]
        )
    return Table(
        [
            Column("gives", "count", "Would give", priority=0),
            Column("gives_whole", "count", "At once", priority=3),
            Column("gives_bytes", "bytes", "By freeing", priority=0),
            Column("gives_empty", "bytes", "Free objects", keep="if said", priority=2),
            Column("blocks", "count", "In blocks", priority=2),
            Column("bytes", "bytes", "In all", priority=2),
            Column("node", "number", priority=2),
            Column("zone"),
            Column("origin", "path", priority=0, min_width=12),
        ],
        cells,
        left_out=max(0, len(rows) - _MOST),
        noun="origin",
        title="Unmovable memory by origin",
    )
