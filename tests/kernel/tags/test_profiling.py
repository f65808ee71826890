# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether a kernel was built with allocation profiling."""

from __future__ import annotations

import pytest
from drgn import Program, Symbol, SymbolBinding, SymbolKind

from allocdump.errors import ProfilingError
from allocdump.kernel.kernel import Kernel
from allocdump.kernel.tags.profiling import profiling

from ...dumpdata import STOCK_CORES, open_core
from ...dumpdata import core as core_of
from ...fakekernel import FakeKernel


def kernel(start: int, stop: int) -> Kernel:
    """A kernel whose section of code tags lies between two addresses."""
    symbols = {"__start_alloc_tags": start, "__stop_alloc_tags": stop}

    def find(prog: Program, name: str | None, address: int | None, one: bool) -> list[Symbol]:
        return [
            Symbol(n, a, 0, SymbolBinding.GLOBAL, SymbolKind.UNKNOWN)
            for n, a in symbols.items()
            if name in (None, n)
        ]

    fake = FakeKernel()
    fake.prog.register_symbol_finder("fake", find, enable_index=0)
    return Kernel(fake.prog)


def test_built_in_means_that_there_are_tags() -> None:
    assert kernel(0x1000, 0x1028).layouts.profiling


def test_an_empty_section_is_none() -> None:
    """Since 6.10 the linker script makes it in any case, as in Debian's own 6.12."""
    empty = kernel(0x1000, 0x1000)
    assert not empty.layouts.profiling
    assert profiling(empty).state == "not built in"


def test_a_kernel_without_the_section() -> None:
    assert not Kernel(FakeKernel().prog).layouts.profiling


def test_distribution_kernels_have_no_profile_and_no_damage() -> None:
    """Debian 13's own 6.12 has the section and the types, but not the option."""
    for core in STOCK_CORES:
        kernel = open_core(core).kernel
        assert not kernel.layouts.profiling
        with pytest.raises(ProfilingError, match="without CONFIG_MEM_ALLOC_PROFILING"):
            open_core(core).report()
    quiet = open_core(core_of("stock-6.12-quiet"))
    assert quiet.kernel.prog.type("struct alloc_tag")
    assert not quiet.attribution().problems
    assert quiet.attribution().slab.inside.sum() == 0  # extensions of cgroups are not ours
