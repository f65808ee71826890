# SPDX-License-Identifier: LGPL-2.1-or-later
"""Variables and functions by their addresses: of the kernel, of each CPU, of modules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from drgn import Program, Type
from drgn.helpers.linux.kallsyms import module_kallsyms

from ..kernel.machine.modules import loaded_modules
from ..kernel.walk import ReadErrors
from .members import member_at
from .roots import Roots
from .variable_roots import Variables


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

    def __init__(self, prog: Program) -> None:
        self._prog = prog

    @cached_property
    def _kernel(self) -> tuple[Variables, Roots]:
        roots = Roots()
        return Variables(self._prog.symbols(), roots, ""), roots

    @cached_property
    def _modules(self) -> list[tuple[int, int, Variables, Roots, str]]:
        return list(self._of_modules())

    def _of_modules(self) -> Iterator[tuple[int, int, Variables, Roots, str]]:
        for module in loaded_modules(self._prog).modules:
            try:
                symbols, regions = module_kallsyms(module.object), module.regions()
            except ReadErrors:
                continue
            for start, size in regions:
                roots = Roots()
                inside = [s for s in symbols if start <= s.address < start + size]
                yield start, start + size, Variables(inside, roots, ""), roots, module.name

    def of_kernel(self, address: int) -> Named | None:
        """The variable or function of the kernel around an address."""
        variables, roots = self._kernel
        return self._named(variables, roots, address, "")

    def of_module(self, address: int) -> Named | None:
        """The variable or function of a module around an address."""
        for start, end, variables, roots, module in self._modules:
            if start <= address < end:
                found = self._named(variables, roots, address, module)
                # Nothing tells where the last one ends.
                return found and _cut(found, end)
        return None

    def _named(self, variables: Variables, roots: Roots, address: int, module: str) -> Named | None:
        code = int(variables.codes(np.array([address], np.uint64))[0])
        root = roots.all[-2 - code]
        if not root.start:
            return None
        return Named(root.name, module, root.start, root.size, self._type(root.name, module))

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
