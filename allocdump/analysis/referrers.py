# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything that points at the memory around an address."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..arrays import Int
from ..graph.holders import IN_WORDS, Holder, HolderKind, Holders
from ..graph.members import cache_type, member_at
from ..graph.page_table_entries import Mapped, PageTableEntries
from ..graph.pointer_grep import Hits, PointerGrep, Register
from ..graph.targets import Range, Target, Way
from ..kernel.mm.whois import Layer
from ..kernel.tags.sites import Sites
from ..result import Result, Values, column

_GROUPS = 20
"""Groups of those that are not listed; the rest of them is one more."""


@dataclass(frozen=True)
class Referrer:
    """A word that points at the target."""

    address: int | None
    """Address of the word; None for a register."""
    word: int
    """The word itself."""
    way: Way
    into: int
    """Offset in the target of what it points at."""
    into_member: str
    """Name of the member there, by the target's type; empty where no type is known."""
    holder: Layer
    """The innermost thing that the word is in."""
    offset: int | None
    """Of the word in it."""
    member: str
    """Name of the word by the holder's type; empty where no type is known."""


@dataclass(frozen=True)
class Others:
    """Some that are not listed."""

    what: str
    """In words: ``slab objects: dentry d_parent``."""
    count: int


@dataclass(frozen=True)
class Referrers(Result):
    """All words that point at the memory around an address, those of named things first."""

    query: str
    address: int
    target: Layer
    """The thing that the address is in."""
    symbol: str
    """Name of the variable or function that it is in; empty for other memory."""
    count: int
    """Number of words, those included that are not listed."""
    itself: int
    """Number of those that are in the memory itself, or in its own struct pages."""
    found: list[Referrer]
    others: list[Others]
    """Those that are not listed, most first."""
    not_searched: list[str] = field(default_factory=list)
    """Memory that was not looked at, in words."""
    sites: Sites = field(default_factory=Sites.none)
    """Those that holders name by their rows."""

    def to_dict(self) -> dict[str, Values]:
        """The listed words as columns."""
        found = self.found
        names = ("address", "word", "way", "into", "into_member", "offset", "member")
        site = np.array([-1 if r.holder.site is None else r.holder.site for r in found], np.int64)
        return {
            **{name: column([getattr(r, name) for r in found]) for name in names},
            "what": column([r.holder.what for r in found]),
            "start": column([r.holder.start for r in found]),
            "detail": column([r.holder.detail for r in found]),
            "site": site,
            **self.sites.names(site),
        }

    def in_short(self) -> str:
        """The number of words."""
        return f"{self.query}: {self.count:,} pointers to {self.target.what}"


def find_referrers(
    grep: PointerGrep, holders: Holders, entries: PageTableEntries, limit: int, sites: Sites
) -> list[Referrers]:
    """Name what a search has found, for each of its targets.

    :param limit: words to list for each target
    """
    hits = grep.hits()
    kinds, virtual = holders.kinds(hits, grep.targets), holders.virtual(hits)
    order = np.lexsort((virtual, kinds))
    out = []
    for number, target in enumerate(grep.targets):
        rows = order[hits.target[order] == number]
        shown, mapped = _mapped(hits, rows[:limit], target, entries)
        found = [
            _referrer(
                target,
                target.ranges[int(hits.range[row])],
                int(virtual[row]),
                int(hits.word[row]),
                holders.holder(HolderKind(int(kinds[row])), hits, int(row), int(virtual[row])),
                holders,
                mapped.get(int(row)),
            )
            for row in shown
        ]
        registers = [_register(target, r, holders) for r in grep.registers if r.target == number]
        # They stand before stacks, and a task has few of them.
        at = int(np.count_nonzero(kinds[shown] == HolderKind.VARIABLE))
        found[at:at] = registers
        # What was left out of those shown is none.
        more = int(grep.counts[number]) - len(rows) - len(registers)
        rows = np.append(shown, rows[limit:])
        count = len(rows) + len(registers) + more
        out.append(
            Referrers(
                target.query,
                target.address,
                target.layer,
                target.name.name if target.name else "",
                count,
                int(np.count_nonzero(kinds[rows] == HolderKind.ITSELF)),
                found,
                _others(hits, kinds, rows[len(shown) :], more, holders),
                grep.searched.in_words(),
                sites,
            )
        )
    return out


def _mapped(
    hits: Hits, rows: npt.NDArray[np.intp], target: Target, entries: PageTableEntries
) -> tuple[npt.NDArray[np.intp], dict[int, Mapped]]:
    """What page table entries among hits map, by their rows.

    The direct map maps all memory: its entries are none, and the first result is without them.
    """
    number = {i for i, found in enumerate(target.ranges) if found.way is Way.ENTRY}
    tables = rows[np.isin(hits.range[rows], list(number))]
    found = dict(zip(tables.tolist(), entries.mapped(hits.place[tables]), strict=True))
    own = [row for row, one in found.items() if entries.in_direct_map(one)]
    return rows[~np.isin(rows, own)], found


def _referrer(
    target: Target,
    found: Range,
    address: int,
    word: int,
    holder: Holder,
    holders: Holders,
    mapped: Mapped | None = None,
) -> Referrer:
    number = word
    if found.way is Way.ENTRY:
        number = holders.frame_of(word)
    into = found.offset_of(number)
    if mapped is not None:
        holder.layer.detail |= mapped.detail()
    return Referrer(
        address,
        word,
        found.way,
        into,
        _member_of(target, into, holders),
        holder.layer,
        holder.offset,
        holder.member,
    )


def _register(target: Target, register: Register, holders: Holders) -> Referrer:
    detail: dict[str, object] = {"task": register.task, "register": register.name}
    into = target.ranges[register.range].offset_of(register.word)
    return Referrer(
        None,
        register.word,
        target.ranges[register.range].way,
        into,
        _member_of(target, into, holders),
        Layer("register", detail=detail),
        None,
        "",
    )


def _member_of(target: Target, offset: int, holders: Holders) -> str:
    """The member of the target at an offset; its beginning is the target itself."""
    if not offset:
        return ""
    if target.name:
        type_ = target.name.type
    else:
        cache = target.layer.detail.get("cache")
        found = next((c for c in holders.pagemap.caches if c.name == cache), None)
        type_ = cache_type(holders.prog, found.name, found.object_size) if found else None
    return member_at(type_, offset).removeprefix(".") if type_ else ""


def _others(
    hits: Hits,
    kinds: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.intp],
    more: int,
    holders: Holders,
) -> list[Others]:
    """Sums of those that are not listed.

    :param more: those that were counted only
    """
    sums: Counter[str] = Counter()
    offset = np.where(hits.cache >= 0, (hits.place - hits.object).view(np.int64), 0)
    keys = np.stack([kinds[rows].astype(np.int64), hits.cache[rows], offset[rows]])
    for kind, cache, at, count in _distinct(keys):
        sums[_what(HolderKind(kind), cache, at, holders)] += count
    most = [Others(what, count) for what, count in sums.most_common(_GROUPS)]
    left = sum(sums.values()) - sum(one.count for one in most) + max(0, more)
    return most + ([Others("others", left)] if left else [])


def _distinct(keys: Int) -> list[tuple[int, int, int, int]]:
    """Distinct columns of *keys*, and how many there are of each."""
    found, counts = np.unique(keys, axis=1, return_counts=True)
    return [(*key, count) for key, count in zip(found.T.tolist(), counts.tolist(), strict=True)]


def _what(kind: HolderKind, cache: int, offset: int, holders: Holders) -> str:
    if cache < 0 or kind is HolderKind.ITSELF:
        return IN_WORDS[kind]
    found = holders.pagemap.caches[cache]
    type_ = cache_type(holders.prog, found.name, found.object_size)
    member = member_at(type_, offset).removeprefix(".") if type_ else ""
    return f"{IN_WORDS[kind]}: {found.name} {member or f'+{offset:#x}'}"
