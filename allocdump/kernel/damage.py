# SPDX-License-Identifier: LGPL-2.1-or-later
"""Causes of missing memory in a dump."""

from __future__ import annotations

from .kernel import Kernel
from .layouts import CompoundPages, UnknownLayoutError


def damage_cause(kernel: Kernel) -> str:
    """The likely reason for missing kernel memory; empty if none is known."""
    core = kernel.core
    if core.missing_bytes:
        return "the dump is truncated"
    if core.incomplete:
        return "makedumpfile ran out of space"
    if tail_pages_dropped(kernel):
        return (
            f"makedumpfile up to 1.7.9 at -d {core.dump_level} takes tail pages of slabs and"
            " other compound pages of Linux 7.1 and later for user pages and drops some;"
            " capture with -d 23, or with a makedumpfile built from its git after f50c015f150f"
        )
    return ""


def tail_pages_dropped(kernel: Kernel) -> bool:
    """``page.compound_head`` was renamed ``compound_info`` in Linux 7.1.

    makedumpfile up to 1.7.9 looks for the old name, and without it cannot tell tail pages:
    makedumpfile commit f50c015f150f ("Fix wrong exclusion of compound tail pages on Linux 7.1
    and later"), in no release so far.
    """
    if not kernel.core.excludes_user_pages:
        return False
    try:
        return kernel.layouts[CompoundPages] is CompoundPages.INFO
    except UnknownLayoutError:
        return False
