# SPDX-License-Identifier: LGPL-2.1-or-later
"""Call sites that allocate for others: their objects are of many sizes, or many kinds hold them.

A counter tells the line that called the allocator. Of a line in a helper, as ``__kmemdup_nul()`` or
``bpf_mem_alloc()``, that is not who wanted the memory: what it holds may be of anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Bool, Int
from ..sentence import Value

if TYPE_CHECKING:
    from .holder_kinds import HolderKinds
    from .totals import ObjectTotals

MANY = 4
"""Slab caches, and so sizes. In the bundled dumps, one site in fifty has so many; others have one,
or two where a structure grew."""
SOME_HOLDERS, MANY_HOLDERS = 4, 8
"""Kinds of holders, with and without many sizes: what only a few hold may be of many sizes for
another reason, as an array at its end. In the bundled dumps, one site in twenty has many holders,
most have one kind."""


@dataclass(frozen=True, repr=False)
class Wrappers:
    """Signs of sites that allocate for others; columns of shape (number of origins,)."""

    sizes: Int
    """Number of sizes of its objects: of slab caches that they are from."""
    holders: Int
    """Number of kinds of what holds its allocations; 0 where pointers were not followed."""

    @property
    def marks(self) -> Bool:
        """Sites that do: shape (origins,)."""
        return for_others(self.sizes, self.holders)


def for_others(sizes: Int, holders: Int) -> Bool:
    """Mark sites that allocate for others: shape (sites,).

    :param sizes: and *holders*: as :class:`Wrappers` has them
    """
    enough = (holders == 0) | (holders >= SOME_HOLDERS)
    return np.asarray((sizes >= MANY) & enough | (holders >= MANY_HOLDERS))


def of_objects(totals: ObjectTotals, sites: int) -> Wrappers:
    """Tell them by sizes alone.

    :param sites: number of origins that are wanted, whose rows come first
    """
    of_slab = totals.site[(totals.cache >= 0) & (totals.site < sites)]
    return Wrappers(np.bincount(of_slab, minlength=sites), np.zeros(sites, np.int64))


def of_holders(kinds: HolderKinds) -> Wrappers:
    """Tell them by sizes and holders."""
    return Wrappers(kinds.sizes(), kinds.count())


def in_words(sizes: int, holders: int) -> tuple[str, dict[str, Value]]:
    """The facts of a site that does, as a clause of a sentence, and its values.

    :param holders: 0 where pointers were not followed
    """
    facts, values = list[str](), dict[str, Value]()
    if sizes > 1:
        facts.append("of {sizes:number} sizes")
        values["sizes"] = sizes
    if holders:
        facts.append("held by {holders:count kind} of holders")
        values["holders"] = holders
    return f"its objects are {' and '.join(facts)}", values
