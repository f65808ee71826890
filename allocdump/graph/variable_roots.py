# SPDX-License-Identifier: LGPL-2.1-or-later
"""Global variables as roots: of the kernel, of modules, of each CPU."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from drgn import Program

from ..arrays import U64
from ..kernel.machine.modules import LoadedModule, loaded_modules
from ..kernel.mm.boot_memory import kernel_image
from ..kernel.symbol_table import SymbolTable
from ..kernel.walk import ReadErrors, is_damage
from ..text import some
from .nodes import Codes, root_code
from .roots import Roots, Tier
from .scan import Scanner, runs_of

_TABLES = (
    ("kallsyms_names", None),
    ("kallsyms_offsets", None),
    ("kallsyms_seqs_of_names", None),
    ("__start_BTF", None),
    ("__start___ksymtab", "__start___param"),
    ("__start___bug_table", "__stop___bug_table"),
    ("__start___jump_table", "__stop___jump_table"),
)
"""Tables for finding symbols, types, stack frames and places in code: megabytes without a pointer
to an allocation. Where each begins, and what follows it: None is the next symbol."""
_INIT_STACK = ("__start_init_stack", "__end_init_stack")
"""The boot task's stack, which is looked at with the tasks."""
_RUN = 2 << 20
"""Bytes that are looked at together."""


class Variables:
    """Names addresses in data, as roots."""

    def __init__(self, symbols: SymbolTable, roots: Roots, where: str) -> None:
        self.symbols = symbols
        self._roots = roots
        self._where = where
        self._codes: dict[int, int] = {}

    def codes(self, addresses: U64) -> Codes:
        """The root that each address is in, by the symbol before it."""
        distinct, inverse = np.unique(self.symbols.find(addresses), return_inverse=True)
        codes = np.array([self._code(i) for i in distinct.tolist()], np.int32)
        return codes[inverse]

    def _code(self, i: int) -> int:
        if i not in self._codes:
            name, start, size = self.symbols.at(i) if i >= 0 else ("data", 0, 0)
            root = self._roots.add(name, Tier.NAMED, self._where, start, size)
            self._codes[i] = root_code(root)
        return self._codes[i]


def scan_variables(scanner: Scanner) -> list[str]:
    """Note what all variables point at; return sentences on what was unreadable."""
    prog, roots = scanner.memory.prog, scanner.heap.roots
    symbols = scanner.kernel.symbols
    missing = _image(prog, scanner, Variables(symbols, roots, "kernel"))
    missing += _per_cpu(prog, scanner, Variables(symbols, roots, "per-CPU"))
    modules = loaded_modules(prog)
    problems = [str(problem) for problem in modules.problems]
    for module in modules.modules:
        try:
            missing += _module(scanner, module)
        except Exception as e:
            if not is_damage(e):
                raise
            problems.append(f"the memory of the module {module.name} is unreadable: {e}")
    if missing:
        problems.append(
            some(missing, "page of global variables is", "pages of global variables are")
            + " not in the dump"
        )
    return problems


def _scan(scanner: Scanner, address: int, size: int, names: Variables, less: int = 0) -> int:
    """Look at some data; return how many pages were unreadable."""
    at, target, ok = scanner.scan(address, size)
    scanner.links.add(names.codes(at - np.uint64(less)), target)
    return int(np.count_nonzero(~ok))


def _image(prog: Program, scanner: Scanner, names: Variables) -> int:
    """Data of the kernel image: what boot freed of it belongs to others since."""
    try:
        start, first, pages = kernel_image(prog)
        page = scanner.memory.page
        data = (prog.symbol("_etext").address - start) // page
    except ReadErrors:
        return 0  # it is boot memory like other
    kept = scanner.heap.of_pages(np.arange(first, first + pages)) == scanner.heap.boot
    kept[:data] = False
    for first_name, next_name in (*_TABLES, *scanner.kernel.arch.code_tables):
        with suppress(LookupError):
            address = prog.symbol(first_name).address
            after = names.symbols.start[names.symbols.start > address]
            stop = prog.symbol(next_name).address if next_name else int(after[:1].max(initial=0))
            kept[-(-(address - start) // page) : (stop - start) // page] = False
    with suppress(LookupError):
        low, high = ((prog.symbol(name).address - start) // page for name in _INIT_STACK)
        kept[low:high] = False
    missing = 0
    for begin, stop in runs_of(kept, _RUN // page):
        missing += _scan(scanner, start + begin * page, (stop - begin) * page, names)
    return missing


def _per_cpu(prog: Program, scanner: Scanner, names: Variables) -> int:
    """Every CPU's copy of the kernel's own per-CPU variables, less what is a stack."""
    try:
        bounds = [prog.symbol(f"__per_cpu_{n}").address for n in ("start", "end")]
    except LookupError:
        return 0
    for name in scanner.kernel.arch.stacks:
        try:
            symbol = prog.symbol(name)
        except LookupError:
            continue
        bounds += [symbol.address, symbol.address + symbol.size]
    bounds.sort()
    missing = 0
    for offset in scanner.kernel.cpus.offsets.tolist():
        for start, end in zip(bounds[::2], bounds[1::2], strict=True):
            address = (start + offset) % (1 << 64)
            missing += _scan(scanner, address, end - start, names, offset)
    return missing


def _module(scanner: Scanner, module: LoadedModule) -> int:
    symbols = SymbolTable(module.symbols())
    missing = 0
    for (start, size), kind in zip(module.regions(), module.region_names(), strict=False):
        if "text" in kind:
            continue
        names = Variables(symbols, scanner.heap.roots, f"{module.name} .{kind}")
        missing += _scan(scanner, start, size, names)
        # Its memory is an allocation, too, and the module's.
        area = scanner.heap.vmalloc.find(np.array([start], np.uint64))
        scanner.links.add(names.codes(np.array([start], np.uint64)), area)
    return missing
