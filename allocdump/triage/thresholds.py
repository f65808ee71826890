# SPDX-License-Identifier: LGPL-2.1-or-later
"""From when on something is worth a sentence. Shares are of managed memory.

Measured against dumps of machines that were well, and of machines that died of a known
cause; both are far from these lines.
"""

LARGE = 0.2
"""No single site of a healthy kernel keeps a fifth of the memory for itself: what comes
nearest, caches of inodes, shrinks on demand."""

MOST = 0.5
"""What holds more than all others together needs no comparison."""

NOTABLE = 0.05
"""Less than a twentieth is no reason for anything: watermarks and per-CPU lists of a small
machine come to that."""

FAR_ABOVE = 3
"""A site with three times as much as the next one is not merely the largest of many."""

WHOLE = 0.8
"""Who has four fifths of a sum may stand for it."""
