# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names of variables that roots are."""

from __future__ import annotations

import numpy as np
from drgn import Symbol, SymbolBinding, SymbolKind

from allocdump.graph.roots import Roots
from allocdump.graph.variable_roots import Variables
from allocdump.kernel.symbol_table import SymbolTable


def symbol(
    name: str, address: int, size: int, binding: SymbolBinding = SymbolBinding.LOCAL
) -> Symbol:
    return Symbol(name, address, size, binding, SymbolKind.OBJECT)


def names(symbols: list[Symbol], *addresses: int) -> list[str]:
    roots = Roots()
    codes = Variables(SymbolTable(symbols), roots, "kernel").codes(np.array(addresses, np.uint64))
    return [roots.all[-2 - code].name for code in codes.tolist()]


def test_a_variable_of_unknown_size_reaches_to_the_next() -> None:
    """drgn gives very large symbols of kallsyms size 0: rcu_state, with NR_CPUS=8192."""
    large = [symbol("rcu_state", 0x1000, 0), symbol("small", 0x60000, 8)]
    assert names(large, 0x1000, 0x51538, 0x60000) == ["rcu_state", "rcu_state", "small"]


def test_a_marker_without_a_size_does_not_take_a_variables_name() -> None:
    symbols = [
        symbol("objects", 0x1000, 64),
        symbol("__key.32", 0x1000, 0),
        symbol("__bss_start", 0x2000, 0, SymbolBinding.GLOBAL),
        symbol("first", 0x2000, 8),
    ]
    assert names(symbols, 0x1008, 0x2000) == ["objects", "first"]
    assert names(symbols[::-1], 0x1008, 0x2000) == ["objects", "first"]


def test_what_lies_before_all_symbols_has_a_name_all_the_same() -> None:
    assert names([symbol("first", 0x1000, 8)], 0x10) == ["data"]
