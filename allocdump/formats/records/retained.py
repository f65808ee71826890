# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holders and what they hold as records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ...graph.roots import Root
from ...kernel.tags.sites import Sites
from .json_text import Record
from .site import ORIGIN_FIELDS, origin_record

if TYPE_CHECKING:
    from ...analysis.dominators import Holder, Holding

LEVELS = ("retained", "allocations", "level", "holder", *ORIGIN_FIELDS)
HOLDERS = ("bytes", "allocations", *ORIGIN_FIELDS, "holder")
SHARED = "(shared by several)"
NOBODY = "(nobody: lost)"


def levels(
    sites: Sites, roots: list[Root], holders: Iterable[Holding], limit: int, least: int
) -> Iterator[Record]:
    """Holders, and below each the sites of what it holds; levels count from 0.

    :param limit: most sites below each
    :param least: bytes that a site below has at least
    """

    def walk(holding: Holding, level: int) -> Iterator[Record]:
        name = None if holding.site is None else sites.name(holding.site)
        holder = SHARED if holding.root is None else str(roots[holding.root])
        yield {
            "retained": holding.bytes,
            "allocations": holding.allocations,
            "level": level,
            "holder": holder if name is None else None,
            **origin_record(name),
        }
        for child in holding.children[:limit]:
            if child.bytes >= least:
                yield from walk(child, level + 1)

    for holding in holders:
        yield from walk(holding, 0)


def holders(sites: Sites, roots: list[Root], found: Iterable[Holder]) -> Iterator[Record]:
    """Holders of the memory of sites: one record for each pair of site and holder."""
    for holder in found:
        yield {
            "bytes": holder.bytes,
            "allocations": holder.allocations,
            **origin_record(sites.name(holder.site)),
            "holder": _holder(roots, holder),
        }


def _holder(roots: list[Root], holder: Holder) -> str:
    if holder.root is not None:
        return str(roots[holder.root])
    return NOBODY if holder.nearest is None else f"{SHARED}, first {roots[holder.nearest]}"
