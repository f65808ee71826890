# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holders and what they hold, as rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..analysis.report import Report
from ..graph.roots import Root
from .rows import Row

if TYPE_CHECKING:
    from ..analysis.dominators import Holder, Holding

TREE = ("retained", "allocations", "tree")
FIELDS = ("retained", "allocations", "level", "holder")
HOLDERS = ("bytes", "allocations", "site", "function", "module", "holder")
SHARED = "(shared by several)"


def rows(
    report: Report, roots: list[Root], holders: list[Holding], limit: int, least: int
) -> Iterator[Row]:
    """A tree, depth first; levels count from 0."""

    def walk(holding: Holding, level: int) -> Iterator[Row]:
        name = _name(report, roots, holding)
        yield {
            "retained": holding.bytes,
            "allocations": holding.allocations,
            "level": level,
            "holder": name,
            "tree": ". " * level + name,
        }
        for child in holding.children[:limit]:
            if child.bytes >= least:
                yield from walk(child, level + 1)

    for holding in holders:
        yield from walk(holding, 0)


def _name(report: Report, roots: list[Root], holding: Holding) -> str:
    if holding.root is not None:
        return str(roots[holding.root])
    return SHARED if holding.site is None else site_name(report, holding.site)


def site_name(report: Report, row: int) -> str:
    """``leaker.c:33 [leaker] leaker_get_rec``"""
    sites = report.sites
    module = f" [{sites.module[row]}]" if sites.module[row] else ""
    return f"{sites.file[row]}:{sites.line[row]}{module} {sites.function[row]}"


def holders(report: Report, roots: list[Root], found: list[Holder]) -> Iterator[Row]:
    """Holders of the memory of sites: a row for each pair of site and holder."""
    sites = report.sites
    for holder in found:
        row = holder.site
        yield {
            "bytes": holder.bytes,
            "allocations": holder.allocations,
            "site": f"{sites.file[row]}:{sites.line[row]}",
            "function": sites.function[row],
            "module": sites.module[row],
            "holder": _holder(roots, holder),
        }


def _holder(roots: list[Root], holder: Holder) -> str:
    if holder.root is None:
        return (
            "(nobody: lost)"
            if holder.nearest is None
            else f"{SHARED}, first {roots[holder.nearest]}"
        )
    return str(roots[holder.root])
