# SPDX-License-Identifier: LGPL-2.1-or-later
"""x86-64.

Mirrors ``arch/x86/include/asm/pgtable_types.h`` and ``arch/x86/include/asm/runtime-const.h``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from drgn import FaultError, Object, Program

from ..arrays import U64, Bool
from .base import Architecture, Instructions, TableFormat

_PRESENT, _LARGE = np.uint64(1), np.uint64(1 << 7)
"""_PAGE_PRESENT, _PAGE_PSE"""
_FRAME = 0x000F_FFFF_FFFF_F000
"""PTE_PFN_MASK: the physical address in an entry."""
_BITS = 9

GLOBALS = {
    "vmemmap_base": "unsigned long",
    "page_offset_base": "unsigned long",
    "vmalloc_base": "unsigned long",
}
"""Types of variables by which drgn finds memory."""

_KERNEL_MAP = 0xFFFF_FFFF_8000_0000
_FIXMAP = 0xFFFF_FFFF_FF00_0000
"""Documentation/arch/x86/x86_64/mm.rst: __START_KERNEL_map, and what follows the modules."""

_REX_W, _REX_W_MASK = 0x48, 0xFE
_MOV_IMMEDIATE, _MOV_MASK = 0xB8, 0xF8
"""``REX.W B8+r imm64``, with or without REX.B: Intel's manual, volume 2, MOV."""
_IMMEDIATE = 8


@dataclass(frozen=True)
class Tables(TableFormat):
    """Tables of four or five levels."""

    frame: int = _FRAME
    """Bits of an entry that are a physical address."""

    sign_bits = 1

    def present(self, entries: U64) -> Bool:
        return np.asarray(entries & _PRESENT != 0)

    def leads_on(self, entries: U64) -> Bool:
        return np.asarray(entries & _LARGE == 0)

    def physical(self, entries: U64) -> U64:
        return entries & np.uint64(self.frame)


class X86(Architecture):
    """The architecture x86-64."""

    name = "x86-64"
    page_shifts = frozenset({12})
    stack_register = "rsp"
    kasan_shadow = 0xDFFF_FC00_0000_0000
    stacks = ("irq_stack_backing_store", "exception_stacks")
    never_dumped = 1 << 20
    """``arch_crash_exclude_ranges()`` (arch/x86/kernel/crash.c) for ``kexec_file_load()``, and
    ``reserve_real_mode()``."""
    code_tables = (
        ("__start_orc_unwind_ip", None),
        ("__start_orc_unwind", None),
        ("orc_lookup", None),
        ("__start_static_call_sites", "__stop_static_call_sites"),
    )
    instruction_bytes = 2 + _IMMEDIATE
    any_kernel = (
        b"OSRELEASE=6.10.0\nPAGESIZE=%d\nSYMBOL(swapper_pg_dir)=ffffffff82000000\n"
        b"SYMBOL(mem_section)=ffff888000000000\nLENGTH(mem_section)=1\nSIZE(mem_section)=32\n"
        b"NUMBER(phys_base)=0\nNUMBER(pgtable_l5_enabled)=0\nKERNELOFFSET=0\n"
        b"NUMBER(KERNEL_IMAGE_SIZE)=1073741824\n"
    )

    @cached_property
    def tables(self) -> Tables:
        levels = 5 if self.numbers.flag("pgtable_l5_enabled") else 4
        return Tables(self.page, (_BITS,) * levels, _FRAME & ~_encryption(self.prog))

    @cached_property
    def mapped_alone(self) -> list[tuple[int, int]]:
        """Struct pages and what follows them, espfix stacks; the fixmap."""
        memmap = int(self.prog["vmemmap"].value_())
        return [(memmap, _KERNEL_MAP - 1), (_FIXMAP, (1 << 64) - 1)]

    def stack_pointer(self, task: Object) -> int:
        return int(task.thread.sp.value_())

    def constants(self, code: npt.NDArray[np.uint8]) -> Instructions:
        """Operands of 64 bits: of ``movabs``, where ``runtime_const_init()`` writes."""
        if len(code) < 2 + _IMMEDIATE:
            return Instructions.none()
        last = len(code) - _IMMEDIATE - 1
        prefix = code[: last - 1] & _REX_W_MASK == _REX_W
        found = np.flatnonzero(prefix & (code[1:last] & _MOV_MASK == _MOV_IMMEDIATE))
        operands = code[found[:, None] + 2 + np.arange(_IMMEDIATE)]
        words: U64 = np.ascontiguousarray(operands).view(np.uint64).ravel()
        return Instructions(found.astype(np.uint64), words)


def _encryption(prog: Program) -> int:
    """The bit of an entry that marks encrypted memory (AMD SME); 0 without."""
    try:
        return int(prog.read_u64(prog.symbol("sme_me_mask").address))
    except (FaultError, LookupError):
        return 0
