# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sites as stacks, for tools that know nothing else: module, directory, file, function."""

from __future__ import annotations

from ..analysis.groups import Group, Groups
from ..analysis.keys import SITE
from ..kernel.machine.code_names import Place
from ..kernel.stacks.names import StackText
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


def _function(place: Place) -> str:
    """A frame without its offset: flame graphs join those of one function."""
    name = place.function or place.text
    return f"{name} [{place.module}]" if place.module else name


def of_group(groups: Groups, group: Group) -> tuple[str, ...]:
    """A frame for each label of a group, the outermost first; the site has its callers."""
    frames: list[str] = []
    for key, label in zip(groups.keys, group.labels, strict=True):
        site = groups.site(group) if key is SITE else None
        if site and site.is_site:
            frames += (*callers(site), f"{site.function}:{site.line}")
        elif isinstance(label, StackText) and label.frames:
            frames += [_function(place) for place in reversed(label.frames)]
        else:
            frames.append(groups.text(key, label))
    return tuple(frames)
