# SPDX-License-Identifier: LGPL-2.1-or-later
"""Call sites compiled into files as one JSON document."""

from __future__ import annotations

from ...kernel.tags.compiled import CompiledSite
from ...kernel.tags.sites import SiteName
from .json_text import document
from .site import site_record


def as_json(found: list[tuple[str, list[CompiledSite]]]) -> str:
    """The sites of all files, by their paths."""
    rows = [
        {"path": path, **site_record(SiteName(s.file, s.line, s.function, s.module))}
        for path, sites in found
        for s in sites
    ]
    return document("tags", 2, sites=rows)
