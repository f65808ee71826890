# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sums over all memory, each made once: by a pass of its own, or several in one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

from ..kernel.mm.pagemap import PageMap, Visitor
from ..progress import Progress

S = TypeVar("S")
R = TypeVar("R", covariant=True)


class Adder(Visitor, Protocol[R]):
    """Adds up what it finds in the parts of a page map."""

    def __init__(self, pagemap: PageMap) -> None: ...

    def result(self) -> R:
        """All sums, after the last part."""


class Passes:
    """Results of adders, by their classes."""

    def __init__(self, pagemap: PageMap) -> None:
        self.pagemap = pagemap
        self._made: dict[type[Adder[Any]], Any] = {}

    def of(self, adder: type[Adder[S]], progress: Progress | None = None) -> S:
        """The result of an adder: one pass over all memory, unless there was one."""
        self.read([adder], progress)
        made: S = self._made[adder]
        return made

    def read(
        self,
        adders: Iterable[type[Adder[Any]]],
        progress: Progress | None = None,
        others: Iterable[Visitor] = (),
    ) -> None:
        """Make what is missing of several, in one pass, in which *others* look at memory, too."""
        new = [adder(self.pagemap) for adder in adders if adder not in self._made]
        visitors = [*new, *others]
        if visitors:
            self.pagemap.show(*visitors, progress=progress)
        for adder in new:
            self.keep(type(adder), adder.result())

    def keep(self, adder: type[Adder[S]], made: S) -> None:
        """Keep the result of an adder that was made elsewhere."""
        self._made[adder] = made
