# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stack that allocated most of what a suspect is about, where the kernel kept stacks."""

from __future__ import annotations

import numpy as np

from ..sentence import Sentence, say
from .evidence import Evidence
from .verdict import Suspect

_MOST_FRAMES = 8
"""So many are told, from the call site outwards."""


def dominant_stack(case: Evidence, suspect: Suspect) -> list[Sentence]:
    """One sentence; none if the kernel kept no stack of such memory."""
    kept = case.stacks
    if kept is None or not (suspect.rows or suspect.caches):
        return []
    of_caches = np.array([name in suspect.caches for name in kept.cache], np.bool_)
    use = kept.use.take(np.isin(kept.use.site, suspect.rows) | of_caches)
    whole = int(use.bytes.sum())
    use = use.take(use.stack != 0)
    if not len(use):
        return []
    codes, where = np.unique(use.stack, return_inverse=True)
    sizes = np.bincount(where, use.bytes)
    first = int(sizes.argmax())
    frames = kept.frames(int(codes[first]))
    if not frames:
        return []
    more = len(frames) - _MOST_FRAMES
    return [
        say(
            "{share:share} of what is allocated there, {size:bytes} in {n:count allocation}, came"
            " by one way: {stack}" + (" and {more:count more frame}" if more > 0 else ""),
            share=int(sizes[first]) / whole,
            size=int(sizes[first]),
            n=int(use.allocations[where == first].sum()),
            stack=" < ".join(frames[:_MOST_FRAMES]),
            **({"more": more} if more > 0 else {}),
        )
    ]
