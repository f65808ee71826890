# SPDX-License-Identifier: LGPL-2.1-or-later
"""Allocations, added up by any combination of keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import add

import numpy as np
import numpy.typing as npt

from ..arrays import Int, Values
from ..kernel.tags.sites import SiteName
from ..result import Result, column
from .keys import SITE, Allocations, Coding, Key, Label, Names

Sums = Mapping[str, Int]
"""Numbers that are added up, by name: columns of shape (number of allocations,)."""

_MOST = 1 << 62


@dataclass(frozen=True)
class Group:
    """Allocations that have all labels in common."""

    labels: tuple[Label, ...]
    """One for each key."""
    sums: dict[str, int]
    sites: int
    """Number of their call sites and other origins."""
    first: int
    """Row of the first of these."""


@dataclass
class Groups(Result):
    """Groups by *keys*, largest first."""

    keys: tuple[Key, ...]
    names: Names
    fields: tuple[str, ...]
    """Names of the sums."""
    groups: list[Group]

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def site(self, group: Group) -> SiteName | None:
        """The call site or other origin of a group; None if they are no groups by site."""
        if SITE not in self.keys:
            return None
        row = group.labels[self.keys.index(SITE)]
        assert isinstance(row, int)
        return self.names.origins.name(row)

    def name(self, group: Group) -> str:
        """All labels of a group as one text."""
        return ", ".join(map(self.text, self.keys, group.labels))

    def text(self, key: Key, label: Label) -> str:
        """A label in words."""
        if key is SITE and isinstance(label, int):
            return self.names.origins.name(label).label
        return "none" if label is None else str(label)

    def total(self, field: str) -> int:
        """The sum over all groups."""
        return sum(group.sums[field] for group in self.groups)

    def to_dict(self) -> dict[str, Values]:
        """Labels, sums and numbers of sites as columns."""
        labels = zip(*(group.labels for group in self.groups), strict=True)
        columns = {key.name: column(list(of)) for key, of in zip(self.keys, labels, strict=False)}
        sums = {name: column([group.sums[name] for group in self.groups]) for name in self.fields}
        return columns | sums | {"sites": column([group.sites for group in self.groups])}

    def in_short(self) -> str:
        by = ", ".join(key.name for key in self.keys)
        return f"{len(self.groups):,} groups by {by}"


def group(
    keys: Sequence[Key],
    names: Names,
    fields: Sequence[str],
    parts: Iterable[tuple[Allocations, Sums]],
) -> Groups:
    """Add up allocations by *keys*.

    :param fields: names of the sums; groups are ordered by them
    :param parts: allocations in batches, and what is added up of them
    """
    coding = [key.coding(names) for key in keys]
    cells: dict[tuple[int, ...], list[int]] = {}
    for allocations, sums in parts:
        columns = [code.codes(allocations) for code in coding]
        # Sites are told apart all the same, so that they can be counted.
        which, rows = _cells([*columns, allocations.site])
        added = np.zeros((len(fields), len(rows)), np.int64)
        for into, field in zip(added, fields, strict=True):
            np.add.at(into, which, sums[field])
        for cell, values in zip(rows, added.T.tolist(), strict=True):
            before = cells.get(cell)
            cells[cell] = values if before is None else list(map(add, before, values))
    return Groups(tuple(keys), names, tuple(fields), _labelled(coding, fields, cells))


def _cells(columns: list[npt.NDArray[np.integer]]) -> tuple[Int, list[tuple[int, ...]]]:
    """Number the combinations of values that occur.

    :return: the number of each row's, and the combinations
    """
    count = len(columns[0])
    if not count:
        return np.zeros(0, np.int64), []
    which, most = np.zeros(count, np.int64), 1
    for values in columns:
        low = int(values.min())
        span = int(values.max()) - low + 1
        if most * span > _MOST:
            known, which = np.unique(which, return_inverse=True)
            most = len(known)
        which = which * span + (values.astype(np.int64) - low)
        most *= span
    _, first, which = np.unique(which, return_index=True, return_inverse=True)
    return which, list(zip(*(values[first].tolist() for values in columns), strict=True))


def _labelled(
    coding: list[Coding], fields: Sequence[str], cells: dict[tuple[int, ...], list[int]]
) -> list[Group]:
    """Groups by labels: several codes may have one."""
    found: dict[tuple[Label, ...], tuple[list[int], set[int]]] = {}
    known: list[dict[int, Label]] = [{} for _ in coding]
    for (*codes, site), values in cells.items():
        for names, code, number in zip(known, coding, codes, strict=True):
            if number not in names:
                names[number] = code.label(number)
        labels = tuple(names[number] for names, number in zip(known, codes, strict=True))
        before, sites = found.setdefault(labels, ([0] * len(fields), set()))
        before[:] = map(add, before, values)
        sites.add(site)
    groups = [
        Group(labels, dict(zip(fields, values, strict=True)), len(sites), min(sites))
        for labels, (values, sites) in found.items()
    ]
    return sorted(groups, key=lambda one: [-value for value in one.sums.values()])
