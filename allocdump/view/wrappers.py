# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sentences on call sites that allocate for others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..analysis.wrappers import for_others, in_words
from ..sentence import Sentence, say
from .listing import RowValues, name_of

_MOST = 3
"""Sites that have a sentence of their own."""


def wrappers(records: Sequence[RowValues]) -> list[Sentence]:
    """Sentences on those of some records' sites that allocate for others, in their order.

    :param records: with ``sizes`` and, where pointers were followed, ``holders``
    """
    of_sites = [record for record in records if record["origin"] == "site"]
    sizes = np.array([record["sizes"] for record in of_sites], np.int64)
    holders = np.array([record.get("holders", 0) for record in of_sites], np.int64)
    marked = zip(of_sites, for_others(sizes, holders).tolist(), strict=True)
    rows = {name_of(record).label: record for record, mark in marked if mark}
    said = [_of_site(label, record) for label, record in list(rows.items())[:_MOST]]
    if more := rows.keys() - list(rows)[:_MOST]:
        said.append(say("{n:count more site} of that kind", n=len(more)))
    return said


def _of_site(label: str, record: RowValues) -> Sentence:
    facts, values = in_words(record["sizes"], record.get("holders", 0))
    return say(
        "{site} may allocate for many callers: " + facts + "; --group-by holder tells them apart",
        site=label,
        **values,
    )
