# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one scale of confidence that all answers use."""

from __future__ import annotations

from enum import IntEnum


class Confidence(IntEnum):
    """Confidence in words, since nobody can say it in percent."""

    POSSIBLE = 1
    """It may be so: a hint to look at."""
    LIKELY = 2
    """It explains much of what was seen, and nothing else does."""
    VERY_LIKELY = 3
    """It explains most of what was seen."""
    CERTAIN = 4
    """The kernel itself said so, or memory leaves no other way."""

    @property
    def words(self) -> str:
        """``very likely``"""
        return self.name.lower().replace("_", " ")
