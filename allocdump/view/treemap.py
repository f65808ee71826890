# SPDX-License-Identifier: LGPL-2.1-or-later
"""The treemap of all memory, which several documents show."""

from __future__ import annotations

from ..analysis.usage import Node
from .model import Treemap

_CAPTION = (
    "Every page is in exactly one class, and slabs are divided into their objects. Click to go"
    " closer, and on the bar above to come back."
)


def all_memory(root: Node) -> Treemap:
    """The account of all memory as areas."""
    return Treemap(root, _CAPTION)
