# SPDX-License-Identifier: LGPL-2.1-or-later
"""Call sites, added up by keys as their counters have it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..kernel.tags.sites import Sites
from .groups import Groups, group
from .keys import Allocations, Key, Names
from .memory import SUMS


def by_counters(keys: Sequence[Key], sites: Sites) -> Groups:
    """Groups of call sites, in which no byte is counted twice: see :mod:`.sums`.

    :param keys: those of which the call site alone decides
    """
    once = sites.take(~sites.backing)
    sums = {"bytes": once.bytes, "calls": once.calls.view(np.int64)}
    parts = [(Allocations.of_sites(np.arange(len(once))), sums)]
    return group(keys, Names(once), SUMS, parts)
