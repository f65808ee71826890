# SPDX-License-Identifier: LGPL-2.1-or-later
"""Objects, slab caches and vmalloc areas as documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..analysis.keys import Key
from .listing import SITE, RowValues, by, column, group_columns, listing
from .model import Document
from .wrappers import wrappers

_EACH = (
    column("address", "code", priority=0),
    column("bytes", "bytes", priority=0),
    column("used", "bytes", priority=2),
    column("cache", cut=True),
    *SITE,
)
_SUMS = (
    column("bytes", "bytes", priority=0),
    column("objects", "count"),
    column("used", "bytes", priority=2),
    column("lost", "bytes", priority=3),
    column("cache", cut=True),
    *SITE,
)
_CACHES = (
    column("bytes", "bytes", priority=0),
    column("slabs", "count", priority=2),
    column("objects", "count"),
    column("free", "count"),
    column("cached", "count", priority=3),
    column("untagged", "count", priority=3),
    column("size", "bytes", priority=2),
    column("lost", "bytes", priority=3),
    column("cache", priority=0, cut=True),
)
_VMALLOC = (
    column("address", "code", priority=0),
    column("bytes", "bytes", priority=0),
    column("pages", "count", priority=2),
    column("kind", priority=2),
    column("caller", "code", cut=True),
    *SITE,
)


def each(records: Iterable[RowValues]) -> Document:
    """One row for each object."""
    return listing(_EACH, records, "Objects")


def sums(records: Iterable[RowValues]) -> Document:
    """One row for each site and cache."""
    rows = list(records)
    out = listing(_SUMS, rows, "Objects by call site and cache")
    out.summary = wrappers(rows)
    return out


def by_cache(records: Iterable[RowValues]) -> Document:
    """One row for each slab cache."""
    return listing(_CACHES, records, "Slab caches")


def areas(records: Iterable[RowValues]) -> Document:
    """One row for each vmalloc area."""
    return listing(_VMALLOC, records, "Vmalloc areas")


def groups(sums: Sequence[str], keys: Sequence[Key], records: Iterable[RowValues]) -> Document:
    """One row for each group."""
    return listing(group_columns(_SUMS, sums, keys), records, f"Objects by {by(keys)}")
