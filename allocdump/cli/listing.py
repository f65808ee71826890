# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands that list things: their records as JSON or CSV, or a projection of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from ..formats.records.json_text import Record, listed
from ..view.model import Document
from .output import show, write_all


@dataclass
class Listing:
    """Records, the columns of their CSV, and their projection."""

    records: Iterable[Record]
    fields: Sequence[str]
    """Columns of CSV."""
    project: Callable[[Iterable[Record]], Document]

    def show(self, format_: str, exact: bool, limit: int | None = None) -> None:
        """Write the first *limit* records to standard output; None is all."""
        rows = islice(self.records, limit)
        if format_ == "table":
            show(self.project(rows), exact=exact)
        else:
            write_all(listed(rows, self.fields, format_))
