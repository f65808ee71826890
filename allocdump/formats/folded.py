# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report as folded stacks for flame graphs: ``module;directory;file;function:line BYTES``."""

from __future__ import annotations

from collections.abc import Iterator

from ..kernel.tags.sites import Sites
from .stack import callers


def render(sites: Sites) -> Iterator[str]:
    """One line per site that holds memory; flame graphs know no negative sizes.

    They add up, so pages whose objects are counted at their sites are left out.
    """
    sites = sites.take(~sites.backing)
    for i, size in enumerate(sites.bytes.tolist()):
        if size > 0:
            name = sites.name(i)
            frames = (*callers(name), f"{name.function}:{name.line}")
            yield f"{';'.join(frame.replace(';', ':') for frame in frames)} {size}\n"
