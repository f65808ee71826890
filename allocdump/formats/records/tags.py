# SPDX-License-Identifier: LGPL-2.1-or-later
"""Call sites compiled into files as records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...kernel.tags.compiled import CompiledSite
from ...kernel.tags.sites import SiteName
from ..spreadsheet import csv_lines
from .json_text import Record, document
from .site import SITE_FIELDS, site_record

Found = Iterable[tuple[str, CompiledSite]]
"""Sites, each with the path of its file."""


def rows(found: Found) -> Iterator[Record]:
    """One record for each site."""
    for path, s in found:
        yield {"path": path, **site_record(SiteName(s.file, s.line, s.function, s.module))}


def as_json(found: Found) -> str:
    """The sites as one JSON document."""
    return document("tags", 2, sites=list(rows(found)))


def as_csv(found: Found) -> Iterator[str]:
    """The sites as CSV."""
    return csv_lines(rows(found), ("path", *SITE_FIELDS))
