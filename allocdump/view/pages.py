# SPDX-License-Identifier: LGPL-2.1-or-later
"""Allocations of pages as documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..analysis.keys import Key
from .listing import SITE, RowValues, by, column, group_columns, listing
from .model import Document

_EACH = (
    column("pfn", "number", priority=0),
    column("address", "code", priority=2),
    column("pages", "count"),
    column("bytes", "bytes", priority=0),
    column("node", "number", priority=2),
    column("zone", priority=2),
    column("kind"),
    *SITE,
    column("inferred", "flag", priority=3),
)
_SUMS = (
    column("bytes", "bytes", priority=0),
    column("pages", "count", priority=2),
    column("allocations", "count"),
    column("inferred_pages", "count", priority=3),
    column("orders", priority=2),
    *SITE,
)


def each(records: Iterable[RowValues]) -> Document:
    """One row for each allocation."""
    return listing(_EACH, records, "Pages")


def sums(records: Iterable[RowValues]) -> Document:
    """One row for each site."""
    return listing(_SUMS, records, "Pages by call site")


def groups(sums: Sequence[str], keys: Sequence[Key], records: Iterable[RowValues]) -> Document:
    """One row for each group."""
    return listing(group_columns(_SUMS, sums, keys), records, f"Pages by {by(keys)}")
