# SPDX-License-Identifier: LGPL-2.1-or-later
"""Call sites that belong together: what one of them keeps speaks against the others, too."""

from __future__ import annotations

from dataclasses import dataclass

from ..kernel.tags.sites import OriginKind
from ..sentence import Value
from .evidence import Evidence
from .thresholds import NOTABLE, WHOLE


@dataclass(frozen=True)
class Group:
    """Sites of one module, or of one part of the kernel."""

    key: str
    """``module leaker``, ``fs/eventpoll.c``, ``kernel/bpf``"""
    rows: tuple[int, ...]
    """Its sites with memory, most first."""
    sizes: tuple[int, ...]
    """Bytes of each."""

    @property
    def bytes(self) -> int:
        """Bytes of all."""
        return sum(self.sizes)

    @property
    def chief(self) -> int:
        """Row of the largest site."""
        return self.rows[0]

    @property
    def alone(self) -> bool:
        """True if the largest site may stand for all of them."""
        return self.sizes[0] >= WHOLE * self.bytes

    @property
    def worth(self) -> int:
        """Number of sites that have a part worth mentioning; 1 if one stands for all."""
        least = NOTABLE * self.bytes
        return 1 if self.alone else sum(size >= least for size in self.sizes)


def group_key(case: Evidence, row: int) -> str:
    """The group of a site: its module; its directory, if that is of one part of the kernel, as
    ``fs/ext4`` and ``kernel/bpf`` are; else its file. A slab cache is one of its own."""
    module, file = case.names.module[row], str(case.names.file[row])
    if case.names.name(row).origin == OriginKind.CACHE:
        return f"cache:{file}"
    if module:
        return f"module {module}"
    directory, _, _ = file.rpartition("/")
    return directory if "/" in directory and not directory.startswith("include/") else file


def grouped(case: Evidence, sizes: dict[int, int]) -> list[Group]:
    """The sites of *sizes* in groups, most bytes first.

    :param sizes: bytes by row of the site
    """
    of_key: dict[str, list[int]] = {}
    for row in sorted(sizes, key=lambda row: -sizes[row]):
        of_key.setdefault(group_key(case, row), []).append(row)
    found = [
        Group(key, tuple(rows), tuple(sizes[row] for row in rows)) for key, rows in of_key.items()
    ]
    return sorted(found, key=lambda group: -group.bytes)


def suspicious_groups(case: Evidence) -> list[Group]:
    """All memory that sites keep for the kernel, in groups."""
    sizes = case.suspicious
    return grouped(case, {row: int(sizes[row]) for row in sizes.nonzero()[0].tolist()})


def where(case: Evidence, group: Group) -> tuple[str, dict[str, Value]]:
    """The place of a group in a sentence, and its values.

    ``in module leaker (leaker.c:44, leaker_get_page)``, ``of slab cache dentry``,
    ``at fs/eventpoll.c:1621 (ep_insert) and 1 more site of fs/eventpoll.c``
    """
    name = case.names.name(group.chief)
    if not name.is_site:
        values: dict[str, Value] = {"origin": name.label}
        if group.worth > 1:
            values["more"] = group.worth - 1
        return "of {origin}" + (" and {more:count more place}" if group.worth > 1 else ""), values
    values = {"place": name.place, "function": name.function}
    template = "at {place} ({function})"
    if name.module:
        values["module"] = name.module
        template = "in module {module} ({place}, {function})"
    if group.worth > 1:
        values["more"] = group.worth - 1
        template += " and {more:count more site}"
        if not name.module:
            values["group"] = group.key
            template += " of {group}"
    return template, values
