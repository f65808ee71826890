# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory of removed memory cgroups, with the files that it is of."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..analysis.zombies import Zombies
from ..kernel.kernel import Kernel
from ..kernel.machine.file_pages import file_path, mounts_of
from ..triage.evidence import ZombieMemory

_MOST_FILES = 5


def zombie_evidence(kernel: Kernel, found: Zombies) -> ZombieMemory | None:
    """Memory that removed memory cgroups are charged for; None if there is none."""
    if not found.bytes:
        return None
    mappings = list(found.mappings)
    named = dict(zip(mappings, mounts_of(kernel, np.array(mappings, np.uint64)), strict=True))
    mounts: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for mapping, size in found.mappings.items():
        if named[mapping]:
            mounts[named[mapping]] += size
            files[named[mapping]] += 1
    largest = []
    for mapping, size in found.mappings.most_common(_MOST_FILES):
        path = file_path(kernel, mapping) if named[mapping] else ""
        if path:
            largest.append((f"{named[mapping].rstrip('/')}/{path}", size))
    parents: Counter[str] = Counter()
    for path, size in found.cgroups.items():
        parents[path.rpartition("/")[0] or "/"] += size
    return ZombieMemory(
        number=found.number,
        kinds={kind.name.lower(): size for kind, size in found.kinds.most_common()},
        parents=dict(parents.most_common()),
        mounts={mount: (size, files[mount]) for mount, size in mounts.most_common()},
        files=largest,
    )
