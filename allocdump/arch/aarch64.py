# SPDX-License-Identifier: LGPL-2.1-or-later
"""AArch64, with pages of 4, 16 and 64 KiB.

Mirrors ``arch/arm64/include/asm/pgtable-hwdef.h``, ``memory.h``, ``runtime-const.h`` and
``arch/arm64/kernel/vmcore_info.c``.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from drgn import FaultError, Object, Program

from ..arrays import U64, Bool
from .base import Architecture, Instructions, Numbers, TableFormat

_VALID, _TABLE = np.uint64(1), np.uint64(2)
_LOW_BITS = 48
"""An entry has the bits of an address below this one in their place..."""
_LPA2_LOW_BITS = 50
_HIGH, _HIGH_SHIFT = 0xF << 12, 36
_LPA2_HIGH, _LPA2_HIGH_SHIFT = 0x3 << 8, 42
"""...and those above elsewhere, if it has them: PTE_ADDR_HIGH with pages of 64 KiB, and with
smaller ones of the extension LPA2."""
_LARGE_PAGE = 16
"""Bits of an offset in a page of 64 KiB."""
_MOST_PHYSICAL = 52

_TOP_BYTE = np.uint64(0xFF << 56)
_SIGN = np.uint64(1 << 55)
"""The bit of an address that tells the kernel's half from that of tasks, whatever is above it."""

_SOFTWARE_TAGS, _HARDWARE_TAGS = "__hwasan_tag_memory", "kasan_flag_enabled"
"""A function that compilers call with CONFIG_KASAN_SW_TAGS; a static key that is on where
CONFIG_KASAN_HW_TAGS is used."""
_SHADOW, _SHADOW_SHIFT = "kasan_early_init", 3
"""A function of kernels with shadow memory, which is an eighth of all addresses at most."""

_MOVE_MASK = np.uint32(0xFFE0_0000)
_MOVZ = np.uint32(0xD280_0000)
_MOVK = tuple(np.uint32(0xF280_0000 | half << 21) for half in (1, 2, 3))
_REGISTER = np.uint32(0x1F)
"""Arm's manual, C6.2, MOVZ and MOVK: 16 bits of a register at a time."""


@dataclass(frozen=True)
class Tables(TableFormat):
    """Tables of two to five levels, one set of them for the kernel, and one for each task."""

    high: bool = False
    """Entries have bits 48 and above of an address, in other places."""

    sign_bits = 0

    def present(self, entries: U64) -> Bool:
        return np.asarray(entries & _VALID != 0)

    def leads_on(self, entries: U64) -> Bool:
        return np.asarray(entries & _TABLE != 0)

    def physical(self, entries: U64) -> U64:
        small = self.page.shift < _LARGE_PAGE
        low_bits = _LPA2_LOW_BITS if self.high and small else _LOW_BITS
        low = entries & np.uint64((1 << low_bits) - self.page.bytes)
        if not self.high:
            return low
        mask, shift = (_LPA2_HIGH, _LPA2_HIGH_SHIFT) if small else (_HIGH, _HIGH_SHIFT)
        return low | (entries & np.uint64(mask)) << np.uint64(shift)


class Arm(Architecture):
    """The architecture AArch64, called arm64 by kernels."""

    name = "aarch64"
    page_shifts = frozenset({12, 14, 16})
    stack_register = "sp"
    stacks = ("overflow_stack",)
    code_tables = ()
    instruction_bytes = 16
    top_bits = int(_TOP_BYTE)
    any_kernel = (
        b"OSRELEASE=6.10.0\nPAGESIZE=%d\nSYMBOL(swapper_pg_dir)=ffffffc008000000\n"
        b"SYMBOL(_stext)=ffffffc008010000\nSYMBOL(mem_section)=ffffffc008000000\n"
        b"LENGTH(mem_section)=1\nSIZE(mem_section)=32\nKERNELOFFSET=0\n"
        b"NUMBER(VA_BITS)=39\nNUMBER(TCR_EL1_T1SZ)=0x19\n"
        b"NUMBER(kimage_voffset)=0xffffffc000000000\nNUMBER(PHYS_OFFSET)=0x40000000\n"
    )

    def __init__(self, prog: Program, numbers: Numbers) -> None:
        super().__init__(prog, numbers)
        self.tagged = _has_tags(prog)

    @property
    def kasan_shadow(self) -> int:  # type: ignore[override]
        """By the addresses that the kernel was built for, of which 52 bits are optional:
        arch/arm64/Kconfig."""
        most = 47 if self.page.shift == 14 else 48
        bits = min(self.numbers.number("VA_BITS"), most)
        return (1 << 64) - (1 << 61) - (1 << bits - 1)

    @cached_property
    def tables(self) -> Tables:
        """By the sizes that the kernel was built for, and those that the machine has."""
        built = self.numbers.number("VA_BITS")
        bits = actual = built
        with suppress(LookupError):
            actual = 64 - self.numbers.number("TCR_EL1_T1SZ")
        # With pages of 64 KiB the kernel keeps the larger top table and uses a part of it.
        if self.page.shift < _LARGE_PAGE:
            bits = actual
        each = self.page.shift - 3
        whole, rest = divmod(bits - self.page.shift, each)
        index_bits = (each,) * whole + ((rest,) if rest else ())
        high = self.numbers.number("MAX_PHYSMEM_BITS") == _MOST_PHYSICAL
        if self.page.shift < _LARGE_PAGE:
            high = high and actual == built
        return Tables(self.page, index_bits, high)

    @cached_property
    def mapped_alone(self) -> list[tuple[int, int]]:
        """Struct pages, ports and the fixmap, behind vmalloc space; KASAN's shadow of memory,
        before modules."""
        spans = [(self.numbers.number("VMALLOC_END"), (1 << 64) - 1)]
        if self.prog.symbols(_SHADOW):
            end = self.numbers.number("MODULES_VADDR")
            spans.insert(0, (end - (1 << self.tables.address_bits - _SHADOW_SHIFT), end - 1))
        return spans

    def untag(self, words: U64) -> U64:
        if not self.tagged:
            return words
        return np.where(words & _SIGN != 0, words | _TOP_BYTE, words)

    def typed(self, address: int) -> int:
        """Without the tag of memory or the signature (of a return address) that it has."""
        if not address & int(_SIGN):
            return address
        return address | ((1 << 64) - (1 << self.tables.address_bits))

    def stack_pointer(self, task: Object) -> int:
        return int(task.thread.cpu_context.sp.value_())

    def constants(self, code: npt.NDArray[np.uint8]) -> Instructions:
        """Values that four instructions in a row put together in one register."""
        count = len(code) // 4
        if count < 4:
            return Instructions.none()
        words = np.frombuffer(code[: count * 4], np.uint32)
        parts = [words[i : count - 3 + i] for i in range(4)]
        found = parts[0] & _MOVE_MASK == _MOVZ
        for part, move in zip(parts[1:], _MOVK, strict=True):
            found &= (part & _MOVE_MASK == move) & ((part ^ parts[0]) & _REGISTER == 0)
        at = np.flatnonzero(found)
        value = np.zeros(len(at), np.uint64)
        for i, part in enumerate(parts):
            half = part[at] >> np.uint32(5) & np.uint32(0xFFFF)
            value |= half.astype(np.uint64) << np.uint64(16 * i)
        return Instructions(at.astype(np.uint64) * np.uint64(4), value)


def _has_tags(prog: Program) -> bool:
    """Tell if pointers of the kernel have tags in their top bytes: KASAN in software, or in
    hardware that has it (MTE)."""
    if prog.symbols(_SOFTWARE_TAGS):
        return True
    try:
        return bool(prog.read_u32(prog.symbol(_HARDWARE_TAGS).address))
    except (FaultError, LookupError):
        return False
