# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pointers that boot wrote into instructions: runtime constants.

Mirrors ``runtime_const_init()`` in ``arch/*/include/asm/runtime-const.h``: a pointer takes the
place of a constant in code, and the compiler drops a variable that nothing reads any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from drgn import Symbol

from ..arrays import U64, Bool
from ..kernel.kernel import Kernel
from ..kernel.tags.sites import Sites
from ..kernel.walk import ReadErrors
from .nodes import NOTHING, root_code
from .roots import Tier
from .scan import Scanner
from .variable_roots import Variables

_CONSTANT = "__start_runtime_ptr_"
"""Prefix of a symbol for each such constant that is a pointer: RUNTIME_CONST() in
include/asm-generic/vmlinux.lds.h."""
_PIECE, _MOST = 1 << 22, 1 << 28
"""Bytes of code that are looked at together, and in all."""


def kernel_code(scanner: Scanner, sites: Sites) -> None:
    """Note what instructions of the kernel point at.

    If code is not in the dump, and a constant has no variable, memory that boot code allocated
    may be held by it: nobody can tell. Boot code has run once, and cannot leak more and more.
    """
    prog = scanner.memory.prog
    names = Variables(scanner.kernel.symbols, scanner.heap.roots, "kernel code")
    missing = 0
    for place, words, holes in instructions(scanner.kernel):
        target = scanner.pointers.targets(words)
        held = np.flatnonzero(target != NOTHING)
        scanner.links.add(names.codes(place[held]), target[held])
        missing += holes
    if missing and _without_variable(prog.symbols()):
        root = scanner.heap.roots.add("kernel code that is not in the dump", Tier.UNPROVEN)
        node = np.flatnonzero(boot_sites(scanner, sites)[scanner.heap.nodes.site])
        scanner.links.add(np.full(len(node), root_code(root), np.int32), node.astype(np.int32))


def instructions(kernel: Kernel) -> Iterator[tuple[U64, U64, int]]:
    """(address of each constant in the kernel's code, the constant, pages that are not in the
    dump), piece by piece.
    """
    try:
        start, end = (kernel.prog.symbol(name).address for name in ("_text", "_etext"))
    except LookupError:
        return
    end = min(end, start + _MOST)
    for at in range(start, end, _PIECE):
        # An instruction may go on in the next piece.
        data, ok = kernel.memory.read(at, min(_PIECE + kernel.arch.instruction_bytes, end - at))
        found = kernel.arch.constants(data)
        missing = int(np.count_nonzero(~ok[: _PIECE : kernel.memory.page]))
        yield np.uint64(at) + found.offset, found.value, missing


def _without_variable(symbols: Iterable[Symbol]) -> bool:
    """Tell whether a runtime constant is in code alone."""
    names = {symbol.name for symbol in symbols}
    constants = {name for name in names if name.startswith(_CONSTANT)}
    return any(name.removeprefix(_CONSTANT) not in names for name in constants)


def boot_sites(scanner: Scanner, sites: Sites) -> Bool:
    """Sites of functions that boot ran and then freed (``__init``): shape (number of sites,)."""
    prog = scanner.memory.prog
    try:
        low, high = (prog.symbol(name).address for name in ("_sinittext", "_einittext"))
    except ReadErrors:
        return np.zeros(len(sites), np.bool_)
    names = set[str](), set[str]()
    for symbol in prog.symbols():
        names[low <= symbol.address < high].add(symbol.name)
    # A name that other code has, too, may be that one's.
    boot = np.array(sorted(names[True] - names[False]), np.object_)
    return np.asarray((sites.module == "") & np.isin(sites.function, boot))
