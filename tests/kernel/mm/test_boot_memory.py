# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which page frames are memory."""

from __future__ import annotations

import pytest
from drgn import Program, Symbol, SymbolBinding, SymbolKind

import allocdump
from allocdump.kernel.mm.boot_memory import (
    SWIOTLB,
    SYSTEM_RAM,
    Span,
    bounce_buffers,
    memory_map,
)

from ...dumpdata import core, open_core, overwrite, place
from ...fakekernel import FakeKernel

SOMEWHERE = 0x10000


@pytest.mark.parametrize("driver", [b"kmem", b"virtio_mem"])
def test_memory_that_a_driver_added(driver: bytes) -> None:
    """All of it is memory, whoever brought it."""
    before = memory_map(open_core(core("7.2-quiet")).prog).found
    prog = allocdump.open(core("7.2-quiet"), debug_info="btf").prog
    text = b"System RAM (" + driver + b")\0"
    prog.add_memory_segment(
        SOMEWHERE,
        4096,
        lambda address, count, offset, physical: text.ljust(4096, b"\0")[offset:][:count],
    )
    renamed = 0
    resource = prog["iomem_resource"].child.read_()
    while resource:
        if resource.name.string_() == SYSTEM_RAM.encode():
            overwrite(prog, place(resource.name), SOMEWHERE.to_bytes(8, "little"))
            renamed += 1
        resource = resource.sibling.read_()
    assert renamed > 0
    assert memory_map(prog).found == before


@pytest.mark.parametrize("nested", [True, False])
def test_bounce_buffers(nested: bool) -> None:
    """No bundled dump has them: they are for machines with more than 4 GiB."""
    kernel = FakeKernel()
    pool = kernel.struct("io_tlb_pool", start=kernel.u64, end=kernel.u64)
    members = {"defpool": pool} if nested else {"start": kernel.u64, "end": kernel.u64}
    kernel.struct("io_tlb_mem", **members)

    def find(prog: Program, name: str | None, address: int | None, one: bool) -> list[Symbol]:
        if name != "io_tlb_default_mem":
            return []
        return [Symbol(name, 0x1000, 16, SymbolBinding.GLOBAL, SymbolKind.OBJECT)]

    assert bounce_buffers(kernel.prog) == []
    kernel.prog.register_symbol_finder("fake", find, enable_index=0)
    kernel.write(0x1000, (0x400_0000).to_bytes(8, "little") + (0x800_0000).to_bytes(8, "little"))
    assert bounce_buffers(kernel.prog) == [Span(0x4000, 0x8000, SWIOTLB)]
    kernel.write(0x1000, bytes(16))
    assert bounce_buffers(kernel.prog) == []
