# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many chains of pointers at once, a step of each at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from drgn import Program, ProgramFlags

from ..arch.known import plain_words
from ..arrays import U64, Bool
from ..problems import Problem
from ..source.memory import Memory
from .walk import Structure

Index = npt.NDArray[np.intp]

StepFunction = Callable[[Index, U64], tuple[U64, Bool]]
"""From rows of chains and where they are to where they go on, and whether that could be read."""


class Chains:
    """Follows chains, and knows afterwards which could not be followed to their ends.

    :param most: a chain with more links goes in circles
    """

    def __init__(self, step: StepFunction, most: int) -> None:
        self.step = step
        self.most = most
        self._broken: list[Index] = []

    @property
    def broken(self) -> int:
        """Number of chains that could not be followed to their ends."""
        return sum(map(len, self._broken))

    @property
    def broken_rows(self) -> Index:
        """Index of the chains that could not be followed to their ends, ascending."""
        return np.sort(np.concatenate([np.zeros(0, np.intp), *self._broken]))

    def follow(self, at: U64, ends: U64) -> Iterator[tuple[Index, U64]]:
        """Index of chains and their next links, until each chain is at its end.

        The links of a chain that goes in circles come up to three times: Brent's algorithm
        looks back to the links number 1, 2, 4, 8 ...

        :param at: the first link of each chain, shape (n,)
        :param ends: what follows its last link, shape (n,)
        """
        rows = np.flatnonzero(at != ends)
        at = before = at[rows]
        for count in range(self.most):
            if not len(rows):
                return
            yield rows, at
            if count & (count - 1) == 0:
                before = at
            at, ok = self.step(rows, at)
            ended = ok & (at == ends[rows])
            going = ok & ~ended & (at != before)
            self._broken.append(rows[~going & ~ended])
            rows, at, before = rows[going], at[going], before[going]
        self._broken.append(rows)

    def problems(self, prog: Program, what: Structure) -> list[Problem]:
        """Problems of broken chains: see :class:`Broken`."""
        return Broken(self.broken).problems(prog, what)


@dataclass
class Broken:
    """A number of broken chains, over several followings."""

    chains: int = 0

    def problems(self, prog: Program, what: Structure) -> list[Problem]:
        """One problem for all, or none; in a running kernel chains change under the walk."""
        if not self.chains or prog.flags & ProgramFlags.IS_LIVE:
            return []
        return [what.unreadable(self.chains)]


_LIST_PREV = np.uint64(8)
"""Offset of ``prev`` in ``struct list_head``."""


def list_links(
    memory: Memory, heads: U64, most: int, what: Structure, problems: list[Problem]
) -> Iterator[tuple[Index, U64]]:
    """Index of lists and the next of their links, of many ``struct list_head`` at once.

    Where a link is broken, those behind it are found from the end; some come twice then.

    :param heads: addresses of the heads, shape (n,)
    :param problems: takes what was unreadable
    """

    def read(words: Memory, places: U64) -> tuple[U64, Bool]:
        links, ok = words.words(places)
        return plain_words(memory.prog, links), ok

    heads = plain_words(memory.prog, heads)
    at, ok = read(memory, heads)
    rows = np.flatnonzero(ok)
    forth = Chains(lambda _, links: read(memory, links), most)
    for some, links in forth.follow(at[rows], heads[rows]):
        yield rows[some], links
    broken = rows[forth.broken_rows]
    again = Memory(memory.prog)  # what is missing has been counted
    back = Chains(lambda _, links: read(again, links + _LIST_PREV), most)
    at, ok_back = read(again, heads[broken] + _LIST_PREV)
    for some, links in back.follow(np.where(ok_back, at, heads[broken]), heads[broken]):
        yield broken[some], links
    count = len(heads) - len(rows) + len(broken)
    if count and not memory.prog.flags & ProgramFlags.IS_LIVE:
        problems.append(what.unreadable(count))
