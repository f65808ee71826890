# SPDX-License-Identifier: LGPL-2.1-or-later
"""Records of groups: sums of allocations that have the labels of all keys in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...analysis.groups import Group, Groups
from ...analysis.keys import SITE, Key
from .json_text import Record
from .site import ORIGIN_FIELDS, origin_record


def fields(keys: Sequence[Key]) -> tuple[str, ...]:
    """Fields that say what a group is, behind its sums."""
    if SITE in keys:
        return (*_names(keys), *ORIGIN_FIELDS)
    return ("name", *_names(keys))


def _names(keys: Sequence[Key]) -> list[str]:
    return [key.name for key in keys if key is not SITE]


def group_record(groups: Groups, group: Group) -> Record:
    """Labels of a group: a field for each key; for the site, those of a site. In groups of many
    sites, ``name`` is all of it as one text."""
    labels = zip(groups.keys, group.labels, strict=True)
    named: Record = {key.name: label for key, label in labels if key is not SITE}
    site = groups.site(group)
    return named | ({"name": groups.name(group)} if site is None else origin_record(site))


def records(groups: Groups) -> Iterator[Record]:
    """One record for each group, largest first."""
    for group in groups:
        yield {**group.sums, "sites": group.sites, **group_record(groups, group)}
