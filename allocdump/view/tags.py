# SPDX-License-Identifier: LGPL-2.1-or-later
"""Call sites compiled into files as a document."""

from __future__ import annotations

from collections.abc import Iterable

from .listing import SITE, RowValues, column, listing
from .model import Document


def document(records: Iterable[RowValues]) -> Document:
    """One row for each site."""
    return listing([*SITE, column("path", "path", priority=2)], records, "Call sites")
