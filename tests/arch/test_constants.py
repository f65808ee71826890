# SPDX-License-Identifier: LGPL-2.1-or-later
"""Values in instructions."""

from __future__ import annotations

import struct

import numpy as np
from drgn import Architecture

from allocdump.arch.base import Architecture as Arch
from allocdump.arch.known import architecture
from allocdump.source.vmcoreinfo import VmcoreInfo
from tests.fakekernel import FakeKernel


def known(which: Architecture) -> Arch:
    return architecture(FakeKernel(which).prog, VmcoreInfo({}))


def test_x86_64_wherever_an_instruction_begins() -> None:
    code = bytes.fromhex(
        "90"
        "48b8 1122334455667788"  # movabs $..., %rax
        "49bf 8877665544332211"  # movabs $..., %r15
        "4889b8 00000000"  # another mov
        "48b9 0102030405"  # cut off by the end
    )
    found = known(Architecture.X86_64).constants(np.frombuffer(code, np.uint8))
    assert found.offset.tolist() == [1, 11]
    assert found.value.tolist() == [0x8877665544332211, 0x1122334455667788]
    short = known(Architecture.X86_64).constants(np.zeros(5, np.uint8))
    assert len(short.offset) == 0


def test_aarch64_four_instructions_make_a_value() -> None:
    """Assembled by GNU as: movz and movk of x3, of x4, and of two registers."""
    nop = 0xD503201F
    x3 = [0xD2997BE3, 0xF2B13563, 0xF2C8ACE3, 0xF2E02463]  # 0x0123_4567_89ab_cbdf
    x4 = [0xD2800004, 0xF2A00004, 0xF2C00004, 0xF2FFFFE4]  # 0xffff_0000_0000_0000
    mixed = [*x3[:2], *x4[2:]]
    code = struct.pack("<14I", nop, *x3, *mixed, nop, *x4)
    found = known(Architecture.AARCH64).constants(np.frombuffer(code, np.uint8))
    assert found.offset.tolist() == [4, 40]
    assert found.value.tolist() == [0x0123_4567_89AB_CBDF, 0xFFFF_0000_0000_0000]
    assert len(known(Architecture.AARCH64).constants(np.zeros(12, np.uint8)).offset) == 0
