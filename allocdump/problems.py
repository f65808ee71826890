# SPDX-License-Identifier: LGPL-2.1-or-later
"""Problems as values: what of an answer is missing, where, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Kinds of problems, for programs."""

    DAMAGED = "damaged"
    """A structure cannot be followed to its end: entries may be missing."""
    UNREADABLE = "unreadable"
    """Something is there, but cannot be read."""
    MISSING = "not in the dump"
    LIMITED = "limited"
    """There is more than is looked at."""


@dataclass(frozen=True)
class Problem:
    """Something that could not be read; as text, the sentence for it without a full stop."""

    code: Code
    subject: str
    """The part that could not be read: ``the list of slab caches``, ``3 tasks``."""
    detail: str = ""
    """The reason, in drgn's words or ours."""
    affects: str = ""
    """Effect on the answer, as a clause: ``objects count as in use``."""
    many: bool = False
    """The subject is plural."""

    def __str__(self) -> str:
        text = self.subject
        if self.code != Code.LIMITED:
            text += f" {'are' if self.many else 'is'} {self.code}"
        if self.affects:
            text = f"{self.affects}, since {text}"
        return f"{text}: {self.detail}" if self.detail else text
