# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump tags``"""

from __future__ import annotations

from .words import SITE, TEXT, document, many, record

SCHEMA = document("tags", 2, {"sites": many(record({"path": TEXT, **SITE}))})
