# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report as folded stacks for flame graphs: ``module;directory;file;function:line BYTES``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..analysis.groups import Groups
from ..kernel.tags.sites import Sites
from .stack import callers, of_group


def render(sites: Sites) -> Iterator[str]:
    """One line per site that holds memory; flame graphs know no negative sizes.

    They add up, so pages whose objects are counted at their sites are left out.
    """
    sites = sites.take(~sites.backing)
    for i, size in enumerate(sites.bytes.tolist()):
        if size > 0:
            name = sites.name(i)
            frames = (*callers(name), f"{name.function}:{name.line}")
            yield _line(frames, size)


def render_groups(groups: Groups, size: str = "bytes") -> Iterator[str]:
    """One line per group that holds memory: a frame for each key.

    :param size: the sum that is bytes
    """
    for group in groups:
        if group.sums[size] > 0:
            yield _line(of_group(groups, group), group.sums[size])


def _line(frames: Iterable[str], size: int) -> str:
    return f"{';'.join(frame.replace(';', ':') for frame in frames)} {size}\n"
