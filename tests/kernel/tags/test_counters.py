# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import struct

import numpy as np

from allocdump.kernel.kernel import Kernel
from allocdump.kernel.tags.counters import sum_counters

from ...fakekernel import FakeKernel

CPU0, CPU1, CPU3 = 0xFFFF_8880_0001_0000, 0xFFFF_8880_0002_0000, 0xFFFF_8880_0003_0000


def kernel() -> FakeKernel:
    """Possible CPUs are 0, 1 and 3."""
    fake = FakeKernel()
    fake.cpus([CPU0, CPU1, 0xDEAD_0000, CPU3], 0b1011)
    return fake


def counter(fake: FakeKernel, base: int, pointer: int, size: int, calls: int) -> None:
    fake.write((base + pointer) % 2**64, struct.pack("<qq", size, calls))


def test_sums_are_modulo_2_64() -> None:
    """Freed on another CPU than allocated: one value alone is negative."""
    fake = kernel()
    for base, more, times in ((CPU0, -4096, -1), (CPU1, 12288, 3), (CPU3, 0, 0)):
        counter(fake, base, 0x100, more, times)
        counter(fake, base, 0x110, -more, -times)
    size, calls, ok = sum_counters(Kernel(fake.prog), np.array([0x110, 0x100], np.uint64))
    assert size.view(np.int64).tolist() == [-8192, 8192]
    assert calls.tolist() == [2**64 - 2, 2]
    assert ok.all()


def test_null_counts_nothing() -> None:
    fake = kernel()
    for base in (CPU0, CPU1, CPU3):
        counter(fake, base, 0x100, 10, 1)
    size, calls, ok = sum_counters(Kernel(fake.prog), np.array([0, 0x100, 0], np.uint64))
    assert size.tolist() == [0, 30, 0]
    assert calls.tolist() == [0, 3, 0]
    assert ok.all()


def test_pointers_near_the_top_wrap_around() -> None:
    """Static per-CPU variables of recent x86 kernels lie at kernel addresses."""
    fake = FakeKernel()
    pointer = 0xFFFF_FFFF_8300_0000
    fake.cpus([(CPU0 - pointer) % 2**64], 1)
    counter(fake, CPU0, 0, 64, 2)
    size, calls, ok = sum_counters(Kernel(fake.prog), np.array([pointer], np.uint64))
    assert (size.tolist(), calls.tolist(), ok.tolist()) == ([64], [2], [True])


def test_a_missing_cpu_marks_the_sites_it_had() -> None:
    fake = kernel()
    for base in (CPU0, CPU1, CPU3):
        counter(fake, base, 0x100, 1, 1)
    for base in (CPU0, CPU3):
        counter(fake, base, 0x5000, 1, 1)
    _, _, ok = sum_counters(Kernel(fake.prog), np.array([0x100, 0x5000], np.uint64))
    assert ok.tolist() == [True, False]


def test_without_smp() -> None:
    fake = FakeKernel()
    counter(fake, 0, CPU0, 5, 1)
    size, _, ok = sum_counters(Kernel(fake.prog), np.array([CPU0], np.uint64))
    assert (size.tolist(), ok.tolist()) == ([5], [True])
