# SPDX-License-Identifier: LGPL-2.1-or-later
"""Phases of long work, and those who hear of them."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum


class Phase(Enum):
    """A part of the work on a dump: its name."""

    OPENING = "Opening the dump"
    PAGES = "Reading page structures"
    POINTERS = "Searching memory for pointers"
    VARIABLES = "Reading variables, tasks and code"
    FOLLOWING = "Following pointers"
    ADDING = "Adding up"


Progress = Callable[[Phase, int, int], None]
"""Called with a phase, and pages done and in all; zero are done when the phase begins."""
