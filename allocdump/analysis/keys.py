# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keys that allocations are added up by: what ``--group-by`` knows.

A key gives each allocation a code, in bulk, and each code a label. To add one, put it into
:data:`KEYS`; if it needs more to go by, :class:`Allocations` or :class:`Names` gets a field.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ..arrays import I32, U64, Columns, Int
from ..kernel.mm.page_types import PageKind
from ..kernel.tags.references import Rows
from ..kernel.tags.sites import SiteName, Sites
from .site_groups import GroupBy, group_name

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel
    from ..kernel.machine.charged import ChargedCgroups
    from ..kernel.mm.allocations import ObjectBatch, PageBatch, Zone
    from ..kernel.mm.slab import Cache
    from ..kernel.stacks.names import StackNames
    from .holder_kinds import HolderKinds

Label = str | int | None
"""None: there is none."""

NONE = -1
PERCPU = 255
"""Stands beside the kinds of pages: per-CPU objects."""
_OF_PAGES = -2


@dataclass
class Allocations(Columns):
    """Allocations of any kind, as keys see them; columns of shape (number of allocations,)."""

    site: Rows
    """Row of the call site or other origin."""
    address: U64
    """In the direct map; of per-CPU objects, the per-CPU pointer."""
    pfn: Int
    """The page frame that it begins in; -1 for per-CPU objects, whose copies lie apart."""
    order: Int
    """Of an allocation of pages; -1 for others."""
    kind: npt.NDArray[np.uint8]
    """A :class:`.page_types.PageKind`, that of slabs for their objects; 255 for per-CPU objects."""
    cache: I32
    """Index of the slab cache; -1 for per-CPU objects, -2 for pages."""
    cgroup: I32
    """Row of the memory cgroup that it is charged to."""

    @classmethod
    def of_pages(cls, batch: PageBatch) -> Self:
        """Allocations of pages."""
        return cls(
            batch.site,
            batch.address,
            batch.pfn,
            np.log2(np.maximum(batch.pages, 1)).astype(np.int64),
            batch.kind,
            np.full(len(batch), _OF_PAGES, np.int32),
            batch.cgroup,
        )

    @classmethod
    def of_objects(cls, batch: ObjectBatch, kernel: Kernel) -> Self:
        """Objects of slabs and per-CPU objects."""
        of_slab = batch.cache >= 0
        pfn = kernel.frame_at(batch.address)
        return cls(
            batch.site,
            batch.address,
            np.where(of_slab, pfn, NONE),
            np.full(len(batch), NONE, np.int64),
            np.where(of_slab, PageKind.SLAB, PERCPU).astype(np.uint8),
            batch.cache,
            batch.cgroup,
        )

    @classmethod
    def of_sites(cls, rows: npt.NDArray[np.integer]) -> Self:
        """Allocations of which nothing but the call site is known: those that counters count."""
        none = np.full(len(rows), NONE, np.int64)
        few = none.astype(np.int32)
        unknown = np.full(len(rows), PageKind.UNREADABLE, np.uint8)
        site = rows.astype(np.int32)
        return cls(site, np.zeros(len(rows), np.uint64), none, none, unknown, few, few)


@dataclass
class Names:
    """Whatever the numbers of allocations stand for."""

    origins: Sites
    caches: Sequence[Cache] = ()
    zones: Sequence[Zone] = ()
    cgroups: ChargedCgroups | None = None
    stacks: StackNames | None = None
    holders: Callable[[], HolderKinds] | None = None
    """Searches for them, since only one key asks; None if nobody can."""
    _groups: dict[str, tuple[Int, list[str]]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"<Names: {len(self.origins):,} origins, {len(self.caches):,} slab caches,"
            f" {len(self.zones):,} zones>"
        )

    def groups(self, by: GroupBy) -> tuple[Int, list[str]]:
        """Group of each origin by file, function and so on: its number, and the groups' names."""
        if by not in self._groups:
            names = (_group(by, self.origins.name(row)) for row in range(len(self.origins)))
            numbers: dict[str, int] = {}
            where = [numbers.setdefault(name, len(numbers)) for name in names]
            self._groups[by] = np.array(where, np.int64), list(numbers)
        return self._groups[by]


def _group(by: GroupBy, name: SiteName) -> str:
    """The group of an origin: without a call site, the function is the origin itself, and whatever
    else is the kind of origin, but for the module of a caller."""
    if name.is_site:
        return group_name(by, name.file, name.function, name.module)
    if by == "module" and name.module:
        return name.module
    return name.file if by == "function" and name.file else f"({name.kind})"


class Coding(NamedTuple):
    """A key at work on one kernel."""

    codes: Callable[[Allocations], npt.NDArray[np.integer]]
    label: Callable[[int], Label]


Kind = Literal["text", "path", "code", "number"]


@dataclass(frozen=True)
class Key:
    """Something that allocations are added up by."""

    name: str
    """As ``--group-by``, a field of JSON and a column have it."""
    meaning: str
    coding: Callable[[Names], Coding]
    kind: Kind = "text"
    """Of the column."""
    of_site: bool = False
    """Tells whether the call site alone decides, so that counters can be added up, too."""
    follows: bool = False
    """Tells whether pointers have to be followed first, which takes longest."""


def _of_site(by: GroupBy) -> Callable[[Names], Coding]:
    def coding(names: Names) -> Coding:
        where, labels = names.groups(by)
        return Coding(lambda a: where[a.site], lambda code: labels[code])

    return coding


def _zone_of(names: Names) -> Callable[[Allocations], Int]:
    def codes(a: Allocations) -> Int:
        out = np.full(len(a.pfn), NONE, np.int64)
        for i, zone in enumerate(names.zones):
            inside = (a.pfn >= zone.pfn) & (a.pfn < zone.pfn + zone.spanned)
            out[inside & (out == NONE)] = i
        return out

    return codes


def _node(names: Names) -> Coding:
    return Coding(_zone_of(names), lambda i: None if i == NONE else names.zones[i].node)


def _zone(names: Names) -> Coding:
    return Coding(_zone_of(names), lambda i: None if i == NONE else names.zones[i].name)


def _cgroup(names: Names) -> Coding:
    cgroups = names.cgroups
    return Coding(lambda a: a.cgroup, lambda row: None if cgroups is None else cgroups.name(row))


def _cache(names: Names) -> Coding:
    others = {NONE: "(per-CPU)", _OF_PAGES: "(pages)"}
    return Coding(lambda a: a.cache, lambda i: others[i] if i in others else names.caches[i].name)


def _order(names: Names) -> Coding:
    return Coding(lambda a: a.order, lambda order: None if order == NONE else order)


def _type(names: Names) -> Coding:
    return Coding(lambda a: a.kind, lambda kind: "per-CPU" if kind == PERCPU else _words(kind))


def _words(kind: int) -> str:
    return PageKind(kind).name.lower().replace("_", " ")


def _stack(names: Names) -> Coding:
    stacks = names.stacks
    if stacks is None:
        return Coding(lambda a: np.zeros(len(a), np.int64), lambda code: None)
    return Coding(lambda a: stacks.codes(a.address, a.pfn, a.cache), stacks.text)


def _holder(names: Names) -> Coding:
    if names.holders is None:
        return Coding(lambda a: np.zeros(len(a), np.int64), lambda code: None)
    holders = names.holders()
    return Coding(holders.codes, holders.label)


SITE = Key(
    "site",
    "each by itself",
    lambda names: Coding(lambda a: a.site, lambda row: row),
    of_site=True,
)
"""The key whose labels are rows of :attr:`Names.origins`."""

KEYS = {
    key.name: key
    for key in (
        SITE,
        Key("function", "of call sites", _of_site("function"), "code", of_site=True),
        Key("file", "of call sites", _of_site("file"), "path", of_site=True),
        Key("directory", "of call sites", _of_site("directory"), "path", of_site=True),
        Key("module", "of call sites", _of_site("module"), "code", of_site=True),
        Key("cgroup", "memory cgroup that is charged", _cgroup, "path"),
        Key("node", "NUMA node that it lies on", _node, "number"),
        Key("zone", "zone that it lies in", _zone),
        Key("cache", "slab cache", _cache),
        Key("order", "of an allocation of pages", _order, "number"),
        Key("type", "of page", _type),
        Key("stack", "that allocated it, if the kernel kept it", _stack, "code"),
        Key("holder", "kind of what holds it", _holder, "code", follows=True),
    )
}
"""All keys, in the order of the help."""
