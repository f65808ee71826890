# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bulk reads: holes are marked and counted, the rest is right."""

from __future__ import annotations

import numpy as np
import pytest
from drgn import Architecture, FaultError, Object, Platform, PlatformFlags, Program

from allocdump.arrays import Bool
from allocdump.source.memory import U8, Holes, Memory, runs

FLAGS = PlatformFlags.IS_64_BIT | PlatformFlags.IS_LITTLE_ENDIAN
BASE = 0xFFFF_8880_0000_0000
PAGE = 4096


def memory_of(data: bytes, holes: tuple[int, ...] = (), precise: bool = True) -> Memory:
    """A program with *data* at BASE but for the pages numbered in *holes*."""
    prog = Program(Platform(Architecture.X86_64, FLAGS))

    def read(address: int, count: int, offset: int, physical: bool) -> bytes:
        for page in range(offset // PAGE, (offset + count - 1) // PAGE + 1):
            if page in holes:
                raise FaultError("Excluded page", BASE + page * PAGE if precise else address)
        return data[offset : offset + count]

    prog.add_memory_segment(BASE, len(data), read)
    shift = Object(prog, prog.int_type("int", 4, True), PAGE.bit_length() - 1)
    prog.register_object_finder(
        "page", lambda prog, name, *_: shift if name == "PAGE_SHIFT" else None, enable_index=0
    )
    return Memory(prog)


@pytest.fixture(scope="module")
def data() -> bytes:
    return np.random.default_rng(7).integers(1, 256, 16 * PAGE, np.uint8).tobytes()


@pytest.mark.parametrize("precise", [True, False])
@pytest.mark.parametrize("holes", [(), (0,), (15,), (3, 4, 9), tuple(range(16))])
def test_read_with_holes(data: bytes, holes: tuple[int, ...], precise: bool) -> None:
    memory = memory_of(data, holes, precise)
    start, size = 100, 16 * PAGE - 300
    got, ok = memory.read(BASE + start, size)
    expected = np.frombuffer(data, np.uint8)[start : start + size]
    missing = np.isin((np.arange(size) + start) // PAGE, holes)
    assert (ok == ~missing).all()
    assert (got[ok] == expected[ok]).all()
    assert not got[~ok].any()
    assert memory.holes.pages == len(holes)
    if holes:
        assert "Excluded page" in memory.holes.reason
        assert memory.holes.first == max(BASE + holes[0] * PAGE, BASE + start)


def test_read_at_the_end_of_the_address_space(data: bytes) -> None:
    got, ok = memory_of(data).read(2**64 - 8, 16)
    assert len(got) == 16
    assert not ok.any()


@pytest.mark.parametrize("more", [0, 100], ids=["few", "many"])
def test_words_in_any_order_with_duplicates(data: bytes, more: int) -> None:
    memory = memory_of(data, holes=(5,))
    offsets = np.array([9 * PAGE, 8, 5 * PAGE - 4, 8, 6 * PAGE, 5 * PAGE + 16], np.uint64)
    others = np.arange(more, dtype=np.uint64)[::-1] * np.uint64(8)
    got, ok = memory.words(np.uint64(BASE) + np.concatenate([offsets, others]))
    assert ok[:6].tolist() == [True, True, False, True, True, False]
    for i in np.flatnonzero(ok[:6]):
        assert got[i].tobytes() == data[int(offsets[i]) : int(offsets[i]) + 8]
    assert ok[6:].all()
    # Only what was asked for counts as missing.
    assert memory.holes.pages == 1


def test_no_words(data: bytes) -> None:
    got, ok = memory_of(data).words(np.zeros(0, np.uint64))
    assert got.shape == (0,)
    assert ok.shape == (0,)


def test_words_next_to_one_another_are_read_together(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = memory_of(data)
    reads = []
    original = memory._read

    def read(address: int, size: int, holes: Holes) -> tuple[U8, Bool]:
        reads.append(size)
        return original(address, size, holes)

    monkeypatch.setattr(memory, "_read", read)
    memory.words(np.uint64(BASE) + np.arange(0, 4 * PAGE, 16, dtype=np.uint64))
    assert len(reads) == 1


def test_strings() -> None:
    text = bytearray(b"x" * (4 * PAGE))
    text[10:15] = b"abcd\0"
    text[PAGE - 3 : PAGE + 3] = b"pa\xffge\0"
    memory = memory_of(bytes(text), holes=(3,))
    pointers = np.array([BASE + 10, BASE + 12, BASE + PAGE - 3, BASE + 10], np.uint64)
    assert memory.strings(pointers) == {
        BASE + 10: b"abcd",
        BASE + 12: b"cd",
        BASE + PAGE - 3: b"pa\xffge",
    }
    # Without an end: cut, or unreadable.
    assert memory.strings(np.array([BASE + 2 * PAGE], np.uint64), limit=64) == {
        BASE + 2 * PAGE: b"x" * 64
    }
    assert memory.strings(np.array([BASE + 3 * PAGE - 8], np.uint64)) == {BASE + 3 * PAGE - 8: None}
    assert memory.strings(np.array([BASE + 3 * PAGE], np.uint64)) == {BASE + 3 * PAGE: None}


def test_runs() -> None:
    ascending = np.array([1, 2, 10, 11, 100], np.uint64)
    assert [ascending[r].tolist() for r in runs(ascending, 5)] == [[1, 2], [10, 11], [100]]
    assert list(runs(ascending[:0], 5)) == []
