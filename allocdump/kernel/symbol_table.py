# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names of addresses in data and code, by the symbol before each."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from drgn import Symbol, SymbolBinding

from ..arrays import U64, Int
from ..text import printable

_LAST = 64 << 10
"""Bytes behind the last symbol that may be its variable."""


class SymbolTable:
    """Symbols by their addresses.

    A variable is what lies from its symbol up to the next one: kallsyms has no sizes, and
    drgn tells none for very large variables. Of several symbols at one address the largest
    counts: markers and lock class keys without a size lie where variables do.
    """

    def __init__(self, symbols: Iterable[Symbol]) -> None:
        ranked = sorted(symbols, key=lambda s: (s.size, s.binding == SymbolBinding.GLOBAL))
        self._symbols = {symbol.address: symbol for symbol in ranked}
        self.start: U64 = np.array(sorted(self._symbols), np.uint64)
        """Addresses of symbols, ascending: shape (n,)."""

    def find(self, addresses: U64) -> Int:
        """Index of the symbol before each address, -1 if there is none: shape (n,)."""
        return np.asarray(np.searchsorted(self.start, addresses, side="right") - 1)

    def at(self, index: int) -> tuple[str, int, int]:
        """Name, address and size in bytes of a symbol's variable or function."""
        start = int(self.start[index])
        last = index + 1 == len(self.start)
        size = _LAST if last else int(self.start[index + 1]) - start
        name = self._symbols[start].name
        return printable(name.encode("utf-8", "replace")), start, size
