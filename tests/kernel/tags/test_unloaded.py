# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names and numbers of sites whose module is gone."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from allocdump.kernel.kernel import Kernel
from allocdump.kernel.machine.log import UnloadMessage
from allocdump.kernel.tags.codetag import TagRange
from allocdump.kernel.tags.sites import UNKNOWN, Provenance, Sites
from allocdump.kernel.tags.unloaded import _ORPHANED, find_records, unloaded_sites
from allocdump.source.memory import Memory

from ...fakekernel import FakeKernel

TAGS, STRINGS, GONE = 0xFFFF_FFFF_C000_0000, 0xFFFF_FFFF_C010_0000, 0xFFFF_FFFF_C020_0000
PERCPU = 0xFFFF_8880_0000_0000


@pytest.fixture
def fake() -> FakeKernel:
    """Three tags of a module whose strings are gone: two hold memory, one has no counters."""
    fake = FakeKernel()
    for i, (line, counters) in enumerate([(10, PERCPU), (20, 0), (30, PERCPU + 16)]):
        fake.tag(TAGS + 40 * i, line, (GONE, GONE + 8, GONE + 16), counters)
    fake.write(PERCPU, struct.pack("<4q", 4096, 1, 512, 2))
    return fake


def sites_of(
    fake: FakeKernel, messages: list[UnloadMessage], source: str = "maple tree", tags: int = 3
) -> Sites:
    span = TagRange(TAGS, TAGS + 40 * tags, "", "unloaded", source)
    return unloaded_sites(Kernel(fake.prog), span, messages)


def test_names_are_matched_by_line_and_bytes(fake: FakeKernel) -> None:
    messages = [
        UnloadMessage("other.c", 10, "other", "f", 4096),  # same line and bytes, by chance
        UnloadMessage("gone.c", 10, "gone", "a", 4096),
        UnloadMessage("gone.c", 30, "gone", "b", 512),
    ]
    sites = sites_of(fake, messages)
    assert sites.file.tolist() == ["gone.c", "gone.c"]
    assert sites.function.tolist() == ["a", "b"]
    assert set(sites.module) == {"gone"}
    assert sites.bytes.tolist() == [4096, 512]
    assert sites.calls.tolist() == [1, 2]
    assert (sites.evidence == Provenance.COUNTER).all()
    assert sites.inferred.all()
    assert sites.unloaded.all()


def test_bytes_may_have_been_freed_since(fake: FakeKernel) -> None:
    sites = sites_of(fake, [UnloadMessage("gone.c", 30, "gone", "b", 9999)])
    assert sites.module.tolist() == ["gone", "gone"]
    assert sites.file.tolist() == [UNKNOWN, "gone.c"]


@pytest.mark.parametrize("messages", [[], [UnloadMessage("x.c", 99, "x", "f", 4096)]])
def test_without_a_message_names_are_lost(fake: FakeKernel, messages: list[UnloadMessage]) -> None:
    sites = sites_of(fake, messages)
    assert sites.module.tolist() == [UNKNOWN, UNKNOWN]
    assert sites.bytes.tolist() == [4096, 512]
    assert sites.line.tolist() == [10, 30]


@pytest.mark.parametrize("parameters", [2, 0])
def test_counters_that_unloading_freed_are_not_read(fake: FakeKernel, parameters: int) -> None:
    """6.13 and 6.14, and kernels that tell nothing: what lies there now is of others."""
    fake.module_load(parameters)
    messages = [UnloadMessage("gone.c", 30, "gone", "b", 777)]
    sites = sites_of(fake, messages)
    assert sites.line.tolist() == [30]
    assert sites.file.tolist() == ["gone.c"]
    assert sites.bytes.tolist() == [777]
    assert sites.evidence.tolist() == [Provenance.KERNEL_LOG]
    assert sites.inferred.all()
    unknown = sites_of(fake, [UnloadMessage("gone.c", 99, "gone", "b", 777)])
    assert unknown.line.tolist() == [10, 20, 30]
    assert not unknown.bytes.any()
    assert set(unknown.evidence) == {Provenance.NONE}
    assert set(unknown.module) == {UNKNOWN}


def named(fake: FakeKernel, line: int, at: int = TAGS, module: bytes = b"leaked\0") -> None:
    fake.write(STRINGS, module.ljust(32, b"\0") + b"func\0".ljust(32, b"\0") + b"dir/file.c\0")
    fake.tag(at, line, (STRINGS, STRINGS + 32, STRINGS + 64), 0x2000)


def test_numbers_are_taken_from_the_log_where_counters_were_freed() -> None:
    """6.10 to 6.12. What the kernel did not log held nothing."""
    fake = FakeKernel()
    named(fake, 10)
    named(fake, 20, TAGS + 40)
    messages = [UnloadMessage("dir/file.c", 20, "leaked", "func", 777)]
    sites = sites_of(fake, messages, _ORPHANED, 2)
    assert sites.line.tolist() == [20]
    assert sites.bytes.tolist() == [777]
    assert sites.evidence.tolist() == [Provenance.KERNEL_LOG]
    assert not sites.inferred.any()


def test_numbers_are_unknown_where_the_log_is_lost() -> None:
    fake = FakeKernel()
    named(fake, 10)
    sites = sites_of(fake, [], _ORPHANED, 1)
    assert sites.evidence.tolist() == [Provenance.NONE]
    assert sites.file.tolist() == ["dir/file.c"]


def test_records_are_found_among_other_data() -> None:
    fake = FakeKernel()
    fake.write(TAGS, np.arange(512, dtype=np.uint64).tobytes())
    for i in range(3):
        named(fake, 10 + i, TAGS + 808 + 40 * i)
    named(fake, 99, TAGS + 2048)
    assert find_records(Memory(fake.prog), TAGS, TAGS + 4096) == [
        (TAGS + 808, TAGS + 928),
        (TAGS + 2048, TAGS + 2088),
    ]


@pytest.mark.parametrize("module", [b"\0", b"\x01\x02\0", b"two words\0", b"\xff\xfe\0"])
def test_what_points_at_no_name_is_no_record(module: bytes) -> None:
    fake = FakeKernel()
    named(fake, 10, module=module)
    assert find_records(Memory(fake.prog), TAGS, TAGS + 4096) == []


def test_no_records_in_too_little_memory() -> None:
    fake = FakeKernel()
    named(fake, 10)
    assert find_records(Memory(fake.prog), TAGS, TAGS + 39) == []
    assert find_records(Memory(fake.prog), TAGS, TAGS + 40) == [(TAGS, TAGS + 40)]
