# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names of places in the code, of the kernel itself and of its modules: each looked up once."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import NamedTuple

from drgn import Program, Symbol, SymbolBinding

from ...text import printable
from ..walk import ReadErrors
from .modules import LoadedModule, loaded_modules


class Place(NamedTuple):
    """A place in the code; its label is what the kernel prints, without the function's size."""

    function: str
    """Empty if nothing tells."""
    offset: int
    """From the beginning of the function; the address itself if that is not known."""
    module: str = ""
    """Empty for the kernel itself."""

    @property
    def text(self) -> str:
        """``function+0x12``, or an address."""
        return f"{self.function}+{self.offset:#x}" if self.function else f"{self.offset:#x}"

    @property
    def label(self) -> str:
        """``function+0x12 [module]``"""
        return f"{self.text} [{self.module}]" if self.module else self.text


class CodeNames:
    """Tells places in the code by their addresses.

    :param as_printed: whether of several symbols at one address it must be the one that the kernel
        prints; then all symbols are read
    """

    def __init__(self, prog: Program, *, as_printed: bool = False) -> None:
        self.prog, self._as_printed = prog, as_printed
        self._known: dict[int, Place] = {}

    def __getitem__(self, address: int) -> Place:
        """The place at an address."""
        found = self._known.get(address)
        if found is None:
            found = self._known[address] = self._find(address)
        return found

    def _find(self, address: int) -> Place:
        try:
            symbol = self.prog.symbol(address)
        except LookupError:
            modules = (m.find(address) for m in self._modules if address in m)
            return next(modules, Place("", address))
        name = self._printed.get(symbol.address, symbol.name)
        return Place(printable(name.encode()), address - symbol.address)

    @cached_property
    def _printed(self) -> dict[int, str]:
        """Of several symbols at one address the name that the kernel prints."""
        if not self._as_printed:
            return {}
        names: dict[int, list[tuple[bool, int, str]]] = {}
        for symbol in self.prog.symbols():
            names.setdefault(symbol.address, []).append(_rank(symbol))
        return {address: min(ranks)[-1] for address, ranks in names.items() if len(ranks) > 1}

    @cached_property
    def _modules(self) -> list[_Module]:
        return [_Module(module) for module in loaded_modules(self.prog).modules]


def _rank(symbol: Symbol) -> tuple[bool, int, str]:
    """Place of a symbol among those at its address: ``compare_symbols()`` in
    ``scripts/kallsyms.c``."""
    name = symbol.name
    return symbol.binding == SymbolBinding.WEAK, len(name) - len(name.lstrip("_")), name


class _Module:
    """A module, whose symbols are read when the first of them is asked for."""

    def __init__(self, module: LoadedModule) -> None:
        self._module = module

    def __contains__(self, address: int) -> bool:
        return any(start <= address < start + size for start, size in self._regions)

    def find(self, address: int) -> Place:
        addresses, names = self._symbols
        at = bisect_right(addresses, address) - 1
        if at < 0:
            return Place("", address, self._module.name)
        return Place(names[at], address - addresses[at], self._module.name)

    @cached_property
    def _regions(self) -> list[tuple[int, int]]:
        try:
            return self._module.regions()
        except ReadErrors:
            return []

    @cached_property
    def _symbols(self) -> tuple[list[int], list[str]]:
        """Addresses, ascending, and names of all symbols; of several at one place, the first."""
        try:
            symbols = list(self._module.symbols())
            found = {s.address: s.name for s in reversed(symbols)}
        except ReadErrors:
            found = {}
        addresses = sorted(found)
        return addresses, [printable(found[address].encode()) for address in addresses]
