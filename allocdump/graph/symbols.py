# SPDX-License-Identifier: LGPL-2.1-or-later
"""Variables and functions by their addresses: of the kernel, of each CPU, of modules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from drgn import Type

from ..kernel.kernel import Kernel
from ..kernel.machine.modules import loaded_modules
from ..kernel.symbol_table import SymbolTable
from ..kernel.walk import ReadErrors
from .members import member_at


@dataclass(frozen=True)
class Named:
    """A variable or function: what lies from its symbol up to the next one."""

    name: str
    module: str
    """Empty for the kernel itself."""
    start: int
    size: int
    type: Type | None = None

    def member(self, offset: int) -> str:
        """Its name with the member at an offset: ``init_task.comm``; empty if there is none."""
        member = member_at(self.type, offset) if self.type is not None else ""
        return self.name + member if member else ""


class Symbols:
    """Finds variables and functions; per-CPU variables by their addresses in the kernel image."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._prog = kernel.prog

    @cached_property
    def _modules(self) -> list[tuple[int, int, SymbolTable, str]]:
        return list(self._of_modules())

    def _of_modules(self) -> Iterator[tuple[int, int, SymbolTable, str]]:
        for module in loaded_modules(self._prog).modules:
            try:
                symbols, regions = module.symbols(), module.regions()
            except ReadErrors:
                continue
            for start, size in regions:
                inside = (s for s in symbols if start <= s.address < start + size)
                yield start, start + size, SymbolTable(inside), module.name

    def of_kernel(self, address: int) -> Named | None:
        """The variable or function of the kernel around an address."""
        return self._named(self._kernel.symbols, address, "")

    def of_module(self, address: int) -> Named | None:
        """The variable or function of a module around an address."""
        for start, end, symbols, module in self._modules:
            if start <= address < end:
                found = self._named(symbols, address, module)
                # Nothing tells where the last one ends.
                return found and _cut(found, end)
        return None

    def _named(self, symbols: SymbolTable, address: int, module: str) -> Named | None:
        index = int(symbols.find(np.array([address], np.uint64))[0])
        if index < 0:
            return None
        name, start, size = symbols.at(index)
        return Named(name, module, start, size, self._type(name, module))

    def _type(self, name: str, module: str) -> Type | None:
        if module:
            return None  # the kernel may have a variable of the same name
        try:
            return self._prog[name].type_
        except ReadErrors:
            return None


def _cut(found: Named, end: int) -> Named:
    size = min(found.size, end - found.start)
    return Named(found.name, found.module, found.start, size, found.type)
