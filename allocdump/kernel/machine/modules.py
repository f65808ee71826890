# SPDX-License-Identifier: LGPL-2.1-or-later
"""Loaded modules: names, memory, the tag sections among their symbols."""

from __future__ import annotations

from dataclasses import dataclass, field

from drgn import Object, Program, Symbol
from drgn.helpers.linux.kallsyms import module_kallsyms
from drgn.helpers.linux.module import module_address_regions

from ...problems import Problem
from ...text import printable
from ..walk import list_entries, structure, walk

_MODULES = structure("the module list", "module")
_MOST_SYMBOLS = 1 << 22
"""No module has so many: the kernel itself has some 200,000."""


@dataclass(frozen=True)
class LoadedModule:
    """A module on the kernel's list."""

    name: str
    object: Object
    """``struct module *``"""

    def section(self, name: str) -> tuple[int, int] | None:
        """The ``__start_``/``__stop_`` symbols of a section; None if it has none.

        :raises drgn.FaultError: if the module's symbols are unreadable
        """
        wanted = (f"__start_{name}", f"__stop_{name}")
        found = {s.name: s.address for s in self.symbols() if s.name in wanted}
        return (found[wanted[0]], found[wanted[1]]) if len(found) == 2 else None

    def symbols(self) -> list[Symbol]:
        """The module's symbols.

        :raises drgn.FaultError: if they are unreadable
        :raises ValueError: if their number is more than any module has
        """
        count = int(self.object.kallsyms.num_symtab)
        if count > _MOST_SYMBOLS:
            raise ValueError(f"a number of {count:,} symbols is damaged")
        return module_kallsyms(self.object)

    def regions(self) -> list[tuple[int, int]]:
        """(start, size) of the memory the module occupies."""
        return module_address_regions(self.object)

    def region_names(self) -> list[str]:
        """Name of each of :meth:`regions`: ``text``, ``data``, ``rodata`` ..."""
        try:
            kinds = self.object.prog_.type("enum mod_mem_type").enumerators or ()
        except LookupError:
            kinds = ()
        names = [name.removeprefix("MOD_").lower() for name, _ in kinds]
        return names + [""] * (len(self.regions()) - len(names))


@dataclass
class LoadedModules:
    """The module list, newest first, as far as it could be read."""

    modules: list[LoadedModule] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def loaded_modules(prog: Program) -> LoadedModules:
    """Walk the list ``modules``."""
    walked = walk(
        prog,
        _MODULES,
        lambda: list_entries("struct module", prog["modules"].address_of_(), "list"),
        lambda module: LoadedModule(printable(module.name.string_()), module),
    )
    return LoadedModules(walked.found, walked.problems)
