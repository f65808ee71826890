# SPDX-License-Identifier: LGPL-2.1-or-later
"""Page tables of all formats, made by hand: what was mapped is found, where it was mapped."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from drgn import Architecture

from allocdump.arch import aarch64, x86_64
from allocdump.arch.base import TableFormat
from allocdump.arch.known import architecture
from allocdump.kernel.mm.page_tables import PageTables
from allocdump.source.memory import Memory
from allocdump.source.vmcoreinfo import VmcoreInfo
from tests.fakekernel import FakeKernel

DIRECT_MAP = 0x4000_0000_0000
"""Anywhere: the tables lie there, and nothing else."""
ARM, X86 = Architecture.AARCH64, Architecture.X86_64


@dataclass(frozen=True)
class Case:
    arch: Architecture
    page: int
    index_bits: tuple[int, ...]
    """As ``pgtable-hwdef.h`` has them."""
    numbers: dict[str, int]
    highest: int
    """Bits of a physical address that entries have."""

    def __str__(self) -> str:
        bits = "x".join(map(str, self.index_bits))
        return f"{self.arch.name.lower()}-{1 << self.page - 10}k-{bits}-{self.highest}"


def arm(page: int, bits: tuple[int, ...], va: int, pa: int = 48, actual: int = 0) -> Case:
    numbers = {"VA_BITS": va, "MAX_PHYSMEM_BITS": pa, "TCR_EL1_T1SZ": 64 - (actual or va)}
    # Without the extension, entries of small pages have no more than 48 bits.
    highest = pa if page == 16 or not actual else 48
    return Case(ARM, page, bits, numbers, highest)


CASES = [
    Case(X86, 12, (9, 9, 9, 9), {}, 52),
    Case(X86, 12, (9, 9, 9, 9, 9), {"pgtable_l5_enabled": 1}, 52),
    arm(12, (9, 9, 9), 39),
    arm(12, (9, 9, 9, 9), 48),
    arm(12, (9, 9, 9, 9, 4), 52, 52),
    arm(12, (9, 9, 9, 9), 52, 52, actual=48),
    arm(14, (11, 11), 36),
    arm(14, (11, 11, 11), 47),
    arm(14, (11, 11, 11, 1), 48),
    arm(14, (11, 11, 11, 5), 52, 52),
    arm(14, (11, 11, 11), 52, 52, actual=47),
    arm(16, (13, 13), 42),
    arm(16, (13, 13, 6), 48),
    arm(16, (13, 13, 6), 48, 52),
    arm(16, (13, 13, 10), 52, 52),
    arm(16, (13, 13, 10), 52, 52, actual=48),
]
cases = pytest.mark.parametrize("case", CASES, ids=str)


def of(case: Case) -> TableFormat:
    note = VmcoreInfo({("NUMBER", name): str(value) for name, value in case.numbers.items()})
    return architecture(FakeKernel(case.arch, case.page).prog, note).tables


class Made:
    """Page tables in memory, as a processor would walk them."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.fake = FakeKernel(case.arch, case.page)
        self.next = 1 << case.page
        self.top = self.table()

    def table(self) -> int:
        """The physical address of another, empty table."""
        at, self.next = self.next, self.next + (1 << self.case.page)
        self.fake.write(DIRECT_MAP + at, bytes(1 << self.case.page))
        return at

    def entry(self, physical: int, level: int, leaf: bool) -> int:
        """An entry that points at a table or at memory: the processors' manuals."""
        if self.case.arch == X86:
            return physical | 1 | (1 << 7 if leaf and level else 0) | 1 << 63
        kind = 0b11 if level == 0 or not leaf else 0b01
        low = 50 if self.case.highest == 52 and self.case.page < 16 else 48
        entry = physical & (1 << low) - 1 | kind | 1 << 10 | 1 << 54
        high = physical >> low
        return entry | high << (12 if self.case.page == 16 else 8)

    def map(self, virtual: int, physical: int, level: int = 0) -> None:
        table = self.top
        for at in range(len(self.case.index_bits) - 1, level - 1, -1):
            shift = self.case.page + sum(self.case.index_bits[:at])
            index = virtual >> shift & (1 << self.case.index_bits[at]) - 1
            place = DIRECT_MAP + table + 8 * index
            if at == level:
                self.put(place, self.entry(physical, level, True))
                return
            word = self.get(place)
            if not word:
                table = self.table()
                self.put(place, self.entry(table, at, False))
            else:
                table = self.addresses[word]

    def put(self, place: int, entry: int) -> None:
        self.fake.write(place, entry.to_bytes(8, "little"))

    def get(self, place: int) -> int:
        return int(self.fake.prog.read_u64(place))

    @property
    def addresses(self) -> dict[int, int]:
        step = 1 << self.case.page
        return {self.entry(t, 1, False): t for t in range(step, self.next, step)}

    def walked(self, low: int, high: int, leaves: bool = True) -> dict[int, int]:
        """Virtual addresses at which memory is mapped, and the physical ones."""
        kernel = SimpleNamespace(
            memory=Memory(self.fake.prog),
            direct_map=DIRECT_MAP,
            arch=SimpleNamespace(tables=of(self.case)),
        )
        tops = np.array([DIRECT_MAP + self.top], np.uint64)
        found: dict[int, int] = {}
        for level in PageTables(cast(Any, kernel)).walk(tops, low, high, leaves):
            some = ~level.is_table
            found |= dict(
                zip(level.virtual[some].tolist(), level.target[some].tolist(), strict=True)
            )
        return found


@cases
def test_the_format_is_told_by_vmcoreinfo(case: Case) -> None:
    assert of(case).index_bits == case.index_bits


@cases
def test_what_the_kernel_maps_is_found(case: Case) -> None:
    tables, page = of(case), 1 << case.page
    made, half = Made(case), tables.upper_half
    high = (1 << case.highest) - page
    # The first and the last page of the half, one between, and a large page.
    pages = {half: 5 * page, half + 7 * page: 0, (1 << 64) - page: high}
    for virtual, physical in pages.items():
        made.map(virtual, physical)
    large = page << case.index_bits[0]
    if len(case.index_bits) > 2:
        pages[half + 3 * large] = large
        made.map(half + 3 * large, large, level=1)
    assert made.walked(half, (1 << 64) - 1) == pages
    assert made.walked(half + page, half + 8 * page) == {half + 7 * page: 0}
    assert made.walked((1 << 64) - page, (1 << 64) - 1) == {(1 << 64) - page: high}


@cases
def test_what_tasks_map_is_found(case: Case) -> None:
    page, made = 1 << case.page, Made(case)
    bits = of(case).address_bits - (case.arch == X86)
    pages = {0x10 * page: 3 * page, (1 << bits) - page: 9 * page}
    for virtual, physical in pages.items():
        made.map(virtual, physical)
    assert made.walked(0, of(case).upper_half - 1) == pages


def test_a_bit_that_marks_encrypted_memory_is_no_address() -> None:
    tables = x86_64.Tables(of(CASES[0]).page, (9, 9, 9, 9), 0x000F_FFFF_FFFF_F000 & ~(1 << 47))
    assert tables.physical(np.array([1 << 47 | 0x5067], np.uint64)).tolist() == [0x5000]


def test_addresses_that_people_type_have_tags_and_signatures() -> None:
    numbers = {("NUMBER", "VA_BITS"): "48", ("NUMBER", "MAX_PHYSMEM_BITS"): "48"}
    arch = architecture(FakeKernel(ARM, 12).prog, VmcoreInfo(numbers))
    assert isinstance(arch, aarch64.Arm)
    for seen in (0xF4FF_0000_1234_5678, 0x35FF_0000_1234_5678, 0x2A9A_0000_1234_5678 | 1 << 55):
        assert arch.typed(seen) == 0xFFFF_0000_1234_5678
    for same in (0xFFFF_0000_1234_5678, 0x7F00_1234_5678, 0x4000_0000, 12):
        assert arch.typed(same) == same


def test_tags_are_taken_away_in_bulk_where_the_kernel_has_them() -> None:
    words = np.array(
        [0xF4FF_0000_1234_5678, 0x35FF_0000_1234_5678, 0x1200_0000_0000_0010], np.uint64
    )
    numbers = {("NUMBER", "VA_BITS"): "48", ("NUMBER", "MAX_PHYSMEM_BITS"): "48"}
    arch = architecture(FakeKernel(ARM, 12).prog, VmcoreInfo(numbers))
    assert isinstance(arch, aarch64.Arm)
    assert arch.untag(words).tolist() == words.tolist()
    arch.tagged = True
    assert arch.untag(words).tolist() == [0xFFFF_0000_1234_5678] * 2 + [0x1200_0000_0000_0010]
