# SPDX-License-Identifier: LGPL-2.1-or-later
"""Thresholds from which something is worth a sentence. Shares are of managed memory.

Measured against dumps of machines that were well, and of machines that died of a known
cause; both are far from these lines.
"""

LARGE = 0.2
"""No single site of a healthy kernel keeps a fifth of the memory for itself: caches of inodes
come nearest, and shrink on demand."""

MOST = 0.5
"""A holder of more than all others together needs no comparison."""

NOTABLE = 0.05
"""Less than a twentieth explains nothing: watermarks and per-CPU lists of a small machine come
to that."""

FAR_ABOVE = 3
"""A site with three times as much as the next one is not merely the largest of many."""

ALIKE = 0.1
"""Objects that come together differ in number by less than a tenth, from those of others."""

WHOLE = 0.8
"""A holder of four fifths of a sum may stand for it."""
