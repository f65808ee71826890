# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one form that a call site has in records."""

from __future__ import annotations

from ...kernel.tags.sites import SiteName
from .json_text import Record

SITE_FIELDS = ("file", "line", "function", "module")


def site_record(name: SiteName | None) -> Record:
    """The names of a site: ``module`` is None in the kernel itself, and all are of no site."""
    if name is None:
        return dict.fromkeys(SITE_FIELDS)
    return {**name._asdict(), "module": name.module or None}
