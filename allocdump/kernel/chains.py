# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many chains of pointers at once, a step of each at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from drgn import Program, ProgramFlags

from ..problems import Problem
from ..source.memory import U64, Bool
from .walk import Structure

Rows = npt.NDArray[np.intp]

Step = Callable[[Rows, U64], tuple[U64, Bool]]
"""From rows of chains and where they are to where they go on, and whether that could be read."""


class Chains:
    """Follows chains; :attr:`broken` counts those that could not be followed to their ends.

    :param most: a chain with more links goes in circles
    """

    def __init__(self, step: Step, most: int) -> None:
        self.step = step
        self.most = most
        self.broken = 0

    def follow(self, at: U64, ends: U64) -> Iterator[tuple[Rows, U64]]:
        """Rows of chains and their next links, until each chain is at its end.

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
            self.broken += int(np.count_nonzero(~going & ~ended))
            rows, at, before = rows[going], at[going], before[going]
        self.broken += len(rows)

    def problems(self, prog: Program, what: Structure) -> list[Problem]:
        """What to say of broken chains; in a running kernel they change under the walk."""
        if not self.broken or prog.flags & ProgramFlags.IS_LIVE:
            return []
        return [what.unreadable(self.broken)]
