# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory: sections, pages, slabs, per-CPU and vmalloc areas."""
