# SPDX-License-Identifier: LGPL-2.1-or-later
"""KFENCE's pool; no bundled dump has one, so a slab of a real dump stands for a page of it."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from drgn import Object, Program, Symbol, SymbolBinding, SymbolKind

import allocdump
from allocdump.kernel.kernel import Kernel
from allocdump.kernel.mm import kfence, slab
from allocdump.kernel.mm.kfence import KfenceObjects, kfence_frames, kfence_objects, kfence_words
from tests.dumpdata import core, open_core
from tests.fakekernel import FakeKernel

POOL, METADATA = 0x40_0000, 0x80_0000
FREED, ALLOCATED = 3, 1


def fake() -> FakeKernel:
    """A pool of three objects: the second is in use, at the end of its page."""
    kernel = FakeKernel()
    prog = kernel.prog
    kernel.struct("kfence_metadata", state=kernel.u64, addr=kernel.u64, size=kernel.u64)
    kernel.objects["KFENCE_OBJECT_ALLOCATED"] = Object(prog, kernel.u32, ALLOCATED)
    places = {"__kfence_pool": 0x1000, "kfence_metadata": 0x1008}

    def find(prog: Program, name: str | None, address: int | None, one: bool) -> list[Symbol]:
        if name not in places:
            return []
        return [Symbol(name, places[name], 8, SymbolBinding.GLOBAL, SymbolKind.OBJECT)]

    prog.register_symbol_finder("fake", find, enable_index=0)
    kernel.write(0x1000, struct.pack("<QQ", POOL, METADATA))
    for i, (state, offset, size) in enumerate([(FREED, 0, 64), (ALLOCATED, 0xF40, 192), (0, 0, 0)]):
        at = POOL + (i + 1) * 0x2000 + offset
        kernel.write(METADATA + 24 * i, struct.pack("<3Q", state, at, size))
    return kernel


def test_objects_are_where_the_metadata_say() -> None:
    found = kfence_objects(Kernel(fake().prog))
    assert found.page.tolist() == [POOL + 0x2000, POOL + 0x4000, POOL + 0x6000]
    assert found.address.tolist() == [POOL + 0x2000, POOL + 0x4F40, POOL + 0x6000]
    assert found.size.tolist() == [64, 192, 0]
    assert found.allocated.tolist() == [False, True, False]
    words = kfence_words(Kernel(fake().prog))
    assert [fake().prog.read_u64(word) for word in words.tolist()] == found.address.tolist()


def test_a_kernel_without_a_pool() -> None:
    kernel = fake()
    kernel.write(0x1000, bytes(8))
    assert len(kfence_objects(Kernel(kernel.prog))) == 0
    assert len(kfence_objects(Kernel(FakeKernel().prog))) == 0
    assert len(kfence_words(Kernel(FakeKernel().prog))) == 0
    assert kfence_frames(Kernel(FakeKernel().prog)) == (0, 0)


@pytest.mark.parametrize("allocated", [True, False])
def test_a_page_of_the_pool_is_no_slab(allocated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    path = core("7.3-tiny")
    plain = open_core(path)
    whole = {node.name: node.bytes for _, node in plain.usage().walk()}
    part = next(part for part in plain.pagemap if (part.slabs.order == 0).any())
    row = int(np.flatnonzero((part.slabs.order == 0) & (part.slabs.cache >= 0))[0])
    page = int(part.slabs.address[row])
    pool = KfenceObjects(
        np.array([page], np.uint64),
        np.array([page + 0xF00], np.uint64),
        np.array([32], np.int64),
        np.array([allocated]),
    )
    for module in (kfence, slab):
        monkeypatch.setattr(module, "kfence_objects", lambda kernel: pool)
    dump = allocdump.open(path, debug_info="btf")
    tree = {node.name: node.bytes for _, node in dump.usage().walk()}
    assert tree["KFENCE pool"] == 4 * 4096
    assert tree["slab"] < whole["slab"]
    assert tree["memory"] == whole["memory"]
    inside = dump.whois(f"{page + 0xF08:#x}").layers
    assert inside[-1].what == "page of KFENCE's pool"
    if allocated:
        assert (inside[0].what, inside[0].start) == ("slab object", page + 0xF00)
        assert inside[0].detail["offset"] == 8
        assert dump.whois(f"{page + 8:#x}").layers[0].what == "beside an object of KFENCE's"
    else:
        assert [layer.what for layer in inside] == ["page of KFENCE's pool"]
