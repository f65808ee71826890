# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processors that are not known: one sentence, and no wrong number."""

from __future__ import annotations

import pytest
from drgn import Architecture, Platform, PlatformFlags

import allocdump
from allocdump.arch.base import PageSize
from allocdump.arch.known import architecture, check_words
from allocdump.errors import UnsupportedError
from allocdump.kernel.kernel import Kernel
from allocdump.source.vmcoreinfo import VmcoreInfo
from tests.dumpdata import core
from tests.fakekernel import FakeKernel

WIDE, LITTLE = PlatformFlags.IS_64_BIT, PlatformFlags.IS_LITTLE_ENDIAN
NONE = VmcoreInfo({})


@pytest.mark.parametrize("shift", [12, 14, 16])
def test_every_page_size_of_aarch64_is_known(shift: int) -> None:
    prog = FakeKernel(Architecture.AARCH64, shift).prog
    assert architecture(prog, NONE).page == PageSize(shift)


@pytest.mark.parametrize("arch", [Architecture.RISCV64, Architecture.PPC64])
def test_other_architectures_are_refused(arch: Architecture) -> None:
    prog = FakeKernel(arch).prog
    name = arch.name.lower()
    with pytest.raises(UnsupportedError, match=f"Memory of {name} kernels .* report, diff, watch"):
        architecture(prog, NONE)


def test_other_page_sizes_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"pages of 64 KiB cannot be told apart on x86-64;"):
        architecture(FakeKernel(page_shift=16).prog, NONE)
    with pytest.raises(UnsupportedError, match=r"pages of 8 KiB cannot be told apart on aarch64;"):
        architecture(FakeKernel(Architecture.AARCH64, 13).prog, NONE)


@pytest.mark.parametrize(
    ("arch", "flags", "what"),
    [
        (Architecture.S390X, WIDE, "big-endian kernels (s390x)"),
        (Architecture.PPC64, WIDE, "big-endian kernels (ppc64)"),
        (Architecture.ARM, LITTLE, "32-bit kernels (arm)"),
        (Architecture.I386, LITTLE, "32-bit kernels (i386)"),
        (Architecture.RISCV32, LITTLE, "32-bit kernels (riscv32)"),
    ],
)
def test_other_words_are_refused(arch: Architecture, flags: PlatformFlags, what: str) -> None:
    """Nothing is read of them, not even the report."""
    with pytest.raises(UnsupportedError) as refused:
        check_words(Platform(arch, flags))
    assert what in str(refused.value)
    assert "those of x86-64 and aarch64 are" in str(refused.value)
    assert refused.value.exit_code == 6


@pytest.mark.parametrize("ask", ["usage", "audit", "triage", "graph", "pages", "objects"])
def test_what_reads_memory_is_refused_and_the_report_is_not(
    ask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = allocdump.open(core("7.3-tiny"))

    def refuse(*_: object) -> None:
        raise UnsupportedError("not known")

    monkeypatch.setattr("allocdump.kernel.kernel.architecture", refuse)
    with pytest.raises(UnsupportedError, match="not known"):
        getattr(dump, ask)()
    assert dump.report().sites.bytes.any()


def test_a_kernel_hands_out_its_architecture_once() -> None:
    kernel = Kernel(FakeKernel(Architecture.AARCH64, 14).prog)
    assert kernel.arch is kernel.arch
    assert kernel.arch.page is not None
    assert kernel.page.bytes == 1 << 14
