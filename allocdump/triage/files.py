# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files of a tmpfs, whose inodes and dentries stay as long as the files do."""

from __future__ import annotations

from ..sentence import Sentence, say
from .evidence import Evidence
from .thresholds import ALIKE, MOST


def files_in_memory(case: Evidence, objects: int) -> list[Sentence]:
    """The tmpfs that most of some objects can be the files of."""
    mount = max(case.tmpfs, key=lambda mount: mount.files, default=None)
    if mount is None or not MOST * objects <= mount.files <= objects * (1 + ALIKE):
        return []
    return [
        say("most files in memory: tmpfs {mount}, {n:count file}", mount=mount.mount, n=mount.files)
    ]
