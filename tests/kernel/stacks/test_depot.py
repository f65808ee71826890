# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stack depot in every layout that kernels had, and damaged."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from drgn import Object, Program, Symbol, SymbolBinding, SymbolKind, TypeMember

from allocdump.kernel.kernel import Kernel
from allocdump.kernel.layouts import StackPools
from allocdump.kernel.stacks.depot import StackDepot

from ...fakekernel import FakeKernel

_TABLE, _POOLS, _MOST = 0xFFFF_FFFF_8100_0000, 0xFFFF_8880_0010_0000, 0xFFFF_FFFF_8200_0000
_SYMBOL = {StackPools.SLABS: "stack_slabs"}
_BITS = {
    StackPools.TABLE: {"pool_index_plus_1": 17, "offset": 10, "extra": 5},
    StackPools.ARRAY: {"pool_index_plus_1": 17, "offset": 10, "extra": 5},
    StackPools.ZERO: {"pool_index": 16, "offset": 10, "valid": 1, "extra": 5},
    StackPools.SLABS: {"slabindex": 16, "offset": 10, "valid": 1, "extra": 5},
}
STACKS = [(0x1001, 0x1002), (0x2001,), tuple(range(0x3000, 0x3040))]
COUNTED = (StackPools.TABLE, StackPools.ARRAY)
"""Records of these have a count of references, and room for 64 frames at most."""


class FakeDepot(FakeKernel):
    """Each stack in a pool of its own, at another offset."""

    def __init__(self, variant: StackPools) -> None:
        super().__init__()
        self.variant = variant
        prog, bits = self.prog, _BITS[variant]
        members, at = [], 0
        for name, size in bits.items():
            members.append(TypeMember(Object(prog, self.u32, bit_field_size=size), name, at))
            at += size
        parts = prog.struct_type(None, 4, members)
        handle = prog.union_type(
            "handle_parts", 4, [TypeMember(self.u32, "handle"), TypeMember(parts)]
        )
        self.types["handle_parts"] = handle
        counter = self.struct("counter", counter=self.u32)
        count = {"count": self.struct("refcount", refs=counter)} if variant in COUNTED else {}
        frames = prog.array_type(self.u64, 64 if count else None)
        padding = {} if count else {"padding": self.u32}
        self.struct(
            "stack_record", link=self.u64, hash=self.u32, size=self.u32, handle=handle,
            **(count | padding), entries=frames,
        )  # fmt: skip
        self.symbols = {_SYMBOL.get(variant, "stack_pools"): _TABLE}
        if variant is StackPools.TABLE:
            self.symbols["stack_max_pools"] = _MOST
            self.write(_MOST, struct.pack("<I", 4))
            self.write(_TABLE, struct.pack("<Q", _TABLE + 64))
        prog.register_symbol_finder("fake", self._find, enable_index=0)
        self.handles = [self._keep(number, stack) for number, stack in enumerate(STACKS)]

    def _find(
        self, prog: Program, name: str | None, address: int | None, one: bool
    ) -> list[Symbol]:
        if name not in self.symbols:
            return []
        kind = SymbolBinding.GLOBAL, SymbolKind.OBJECT
        return [Symbol(name, self.symbols[name], 8, *kind)]

    def record(self, number: int) -> int:
        """Address of the record of a stack."""
        return _POOLS + number * 0x4000 + 16 * (1 + number)

    def handle(self, pool: int, offset: int) -> int:
        index, place, *others = _BITS[self.variant].values()
        counted = self.variant in (StackPools.TABLE, StackPools.ARRAY)
        valid = 0 if counted else 1 << index + place
        assert others
        return pool + counted | offset << index | valid

    def _keep(self, number: int, stack: tuple[int, ...]) -> int:
        handle = self.handle(number, 1 + number)
        table = _TABLE + (64 if self.variant is StackPools.TABLE else 0)
        self.write(table + 8 * number, struct.pack("<Q", _POOLS + number * 0x4000))
        head = struct.pack("<QIIII", 0, 0, len(stack), handle, 1)
        self.write(self.record(number), head + struct.pack(f"<{len(stack)}Q", *stack))
        return handle

    def read(self, *handles: int) -> list[tuple[int, ...]]:
        """The stacks of handles, in their order; empty ones are unreadable."""
        stacks = StackDepot(Kernel(self.prog)).stacks(np.array(handles, np.uint32))
        lost = sum(not stack for stack in stacks)
        assert [p.many for p in stacks.problems] == ([lost != 1] if lost else [])
        found = dict(zip(stacks.handle.tolist(), stacks, strict=True))
        return [found[handle & (1 << 27) - 1] for handle in handles]


KEPT = list(_BITS)


@pytest.mark.parametrize("variant", KEPT, ids=lambda v: v.name)
def test_stacks_of_every_layout(variant: StackPools) -> None:
    fake = FakeDepot(variant)
    assert Kernel(fake.prog).layouts[StackPools] is variant
    assert fake.read(*fake.handles) == STACKS
    # Users of the depot keep what they want in the spare bits, and ask for the same one often.
    assert fake.read(fake.handles[1] | 3 << 27, *fake.handles[1:]) == [STACKS[1], *STACKS[1:]]


@pytest.mark.parametrize("variant", KEPT, ids=lambda v: v.name)
def test_all_stacks(variant: StackPools) -> None:
    fake = FakeDepot(variant)
    assert StackDepot(Kernel(fake.prog)).handles().tolist() == sorted(fake.handles)


@pytest.mark.parametrize("variant", KEPT, ids=lambda v: v.name)
def test_handles_of_nothing(variant: StackPools) -> None:
    """Of no pool, of the middle of a record, of the end of a pool."""
    fake = FakeDepot(variant)
    wrong = [fake.handle(7, 1), fake.handle(2, 5), fake.handle(2, 1023), (1 << 27) - 1]
    assert fake.read(*wrong, fake.handles[0]) == [(), (), (), (), STACKS[0]]


@pytest.mark.parametrize("size", [0, 65, 1 << 31, (1 << 32) - 1])
def test_an_absurd_number_of_frames(size: int) -> None:
    fake = FakeDepot(StackPools.TABLE)
    fake.write(fake.record(1) + 12, struct.pack("<I", size))
    assert fake.read(*fake.handles) == [STACKS[0], (), STACKS[2]]


def test_a_free_record() -> None:
    """Links lie where its frames were."""
    fake = FakeDepot(StackPools.TABLE)
    fake.write(fake.record(1) + 20, struct.pack("<I", 0))
    assert fake.read(*fake.handles) == [STACKS[0], (), STACKS[2]]


def test_a_pool_that_is_not_in_the_dump() -> None:
    fake = FakeDepot(StackPools.TABLE)
    del fake.pages[fake.record(1) >> 12]
    assert fake.read(*fake.handles) == [STACKS[0], (), STACKS[2]]
    assert StackDepot(Kernel(fake.prog)).handles().tolist() == fake.handles[::2]


def test_a_stack_that_is_cut_by_a_hole() -> None:
    fake = FakeDepot(StackPools.TABLE)
    fake.handles[2] = handle = fake.handle(2, 240)
    at = _POOLS + 2 * 0x4000 + 240 * 16
    fake.write(at, struct.pack("<QIIII", 0, 0, 64, handle, 1) + bytes(232))
    assert fake.read(*fake.handles) == [STACKS[0], STACKS[1], ()]
