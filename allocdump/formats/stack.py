# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sites as stacks, for tools that know nothing else: module, directory, file, function."""

from __future__ import annotations

from ..kernel.tags.sites import SiteName

KERNEL = "[kernel]"
"""Stands for the kernel itself among modules."""


def callers(name: SiteName) -> tuple[str, ...]:
    """Frames around a site's function, the outermost first.

    Files of modules that were built elsewhere often have no directory, or none of use.
    """
    directory, _, file = name.file.rpartition("/")
    module = name.module or KERNEL
    return (module, directory, file) if directory else (module, file)
