# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which page frames are memory."""

from __future__ import annotations

import pytest

import allocdump
from allocdump.kernel.mm.boot_memory import SYSTEM_RAM, memory_map

from ...dumpdata import core, open_core, overwrite, place

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
