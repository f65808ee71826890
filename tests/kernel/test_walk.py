# SPDX-License-Identifier: LGPL-2.1-or-later
"""Walks over lists that are damaged, or change under the walk."""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from drgn import FaultError, Object, Program, ProgramFlags, Type, TypeMember

from allocdump.arrays import U64, Bool
from allocdump.kernel.chains import Chains, Index
from allocdump.kernel.walk import Cut, Structure, idr_entries, is_damage, list_entries, walk

from ..dumpdata import core, open_core
from ..fakekernel import FakeKernel

DEAD = cast(Program, SimpleNamespace(flags=ProgramFlags(0)))
LIVE = cast(Program, SimpleNamespace(flags=ProgramFlags.IS_LIVE))
LIST = Structure("the list", "entry", "entries")


class Breaks:
    """A list that breaks after two entries, the first *times* times."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self) -> Iterator[int]:
        yield 1
        yield 2
        if self.left:
            self.left -= 1
            raise FaultError("gone", 0)
        yield 3


def walked(
    prog: Program,
    entries: Callable[[], Iterable[Any]],
    convert: Callable[[Any], Any] = lambda entry: entry,
    key: Callable[[Any], Hashable] | None = None,
) -> tuple[list[int], list[str]]:
    out = walk(prog, LIST, entries, convert, key)
    return out.found, [str(problem) for problem in out.problems]


def test_a_dump_does_not_get_better() -> None:
    assert walked(DEAD, Breaks(1)) == ([1, 2], ["the list is damaged: gone: 0x0"])


def test_a_running_kernel_does() -> None:
    assert walked(LIVE, Breaks(5)) == ([1, 2, 3], [])


def test_not_for_ever() -> None:
    assert walked(LIVE, Breaks(-1)) == ([1, 2], ["the list is damaged: gone: 0x0"])


def test_bugs_are_not_damage() -> None:
    def bug() -> Iterator[None]:
        raise TypeError
        yield

    with pytest.raises(TypeError):
        walked(LIVE, bug)
    with pytest.raises(ZeroDivisionError):
        walked(DEAD, lambda: [1], lambda entry: entry / 0)
    with pytest.raises(KeyError):
        walked(DEAD, lambda: [1], lambda entry: {}[entry])


def test_a_bad_entry_costs_itself() -> None:
    def convert(entry: int) -> int | None:
        if entry == 2:
            raise FaultError("gone", 0)
        return entry

    assert walked(DEAD, lambda: [1, 2, 3], convert) == ([1, 3], ["1 entry is unreadable"])


def test_entries_may_be_left_out() -> None:
    assert walked(DEAD, lambda: [1, 2, 3], lambda n: None if n == 2 else n) == ([1, 3], [])


def test_circles() -> None:
    def circle() -> Iterator[int]:
        while True:
            yield from (1, 2, 3)

    assert walked(DEAD, circle) == ([1, 2, 3], ["the list is damaged: it goes in circles"])


def test_entries_may_look_alike() -> None:
    found, problems = walked(DEAD, lambda: [(1, 0), (2, 0)], lambda e: e[1], key=lambda e: e[0])
    assert (found, problems) == ([0, 0], [])


@pytest.mark.parametrize(
    ("wrong", "damage"),
    [
        (lambda prog: prog["slab_caches"].nothing, True),
        (lambda prog: prog["jiffies"].counter, True),
        (lambda prog: prog["jiffies"][0], True),
        (lambda prog: prog["no_such_thing"], True),
        (lambda prog: prog.type("struct no_such_thing"), True),
        (lambda prog: prog.read(0, 1), True),
        (lambda prog: prog["jiffies"].value_().counter, False),
        (lambda prog: len(prog["jiffies"].value_()), False),
        (lambda prog: prog["jiffies"].value_()[0], False),
        (lambda prog: np.zeros(1)[2], False),
    ],
)
def test_what_is_damage_and_what_is_a_bug(wrong: Callable[[Program], object], damage: bool) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        wrong(open_core(core("7.2-quiet")).prog)
    assert is_damage(caught.value) == damage


HEAD, OFFSET = 0x1000, 16
ENTRIES = [0x2000, 0x3000, 0x4000, 0x5000, 0x6000]


@pytest.fixture
def kernel() -> FakeKernel:
    """A list of five entries, each on a page of its own."""
    made = FakeKernel()
    prog = made.prog
    link: Type = prog.struct_type(
        "list_head",
        16,
        [
            TypeMember(lambda: prog.pointer_type(link), "next", 0),
            TypeMember(lambda: prog.pointer_type(link), "prev", 64),
        ],
    )
    made.types["list_head"] = link
    made.struct("thing", first=made.u64, second=made.u64, link=link)
    links = [HEAD, *(entry + OFFSET for entry in ENTRIES), HEAD]
    for before, at, after in zip(
        [ENTRIES[-1] + OFFSET, *links], links[:-1], links[1:], strict=False
    ):
        made.write(at, struct.pack("<QQ", after, before))
    return made


def on_list(kernel: FakeKernel) -> tuple[list[int], list[str]]:
    head = Object(kernel.prog, "struct list_head *", HEAD)
    found = list(list_entries("struct thing", head, "link"))
    cuts = [str(entry.error) for entry in found if isinstance(entry, Cut)]
    return [entry.value_() for entry in found if not isinstance(entry, Cut)], cuts


def test_a_whole_list(kernel: FakeKernel) -> None:
    assert on_list(kernel) == (ENTRIES, [])


@pytest.mark.parametrize("bad", ENTRIES)
def test_an_entry_that_is_missing_costs_itself(kernel: FakeKernel, bad: int) -> None:
    del kernel.pages[bad >> 12]
    found, cuts = on_list(kernel)
    assert found == [entry for entry in ENTRIES if entry != bad]
    assert len(cuts) == 1


@pytest.mark.parametrize("bad", ENTRIES)
@pytest.mark.parametrize("to", ENTRIES)
def test_a_list_in_circles_is_found_from_its_end(kernel: FakeKernel, bad: int, to: int) -> None:
    kernel.write(bad + OFFSET, struct.pack("<Q", to + OFFSET))
    found, cuts = on_list(kernel)
    if to <= bad:
        assert cuts == ["it goes in circles"]
        assert found == ENTRIES
    else:
        # Whatever is left out could be there or not: nothing tells.
        assert found == [e for e in ENTRIES if e <= bad or e >= to]


@pytest.mark.parametrize("bad", ENTRIES)
def test_a_link_to_nowhere(kernel: FakeKernel, bad: int) -> None:
    kernel.write(bad + OFFSET, struct.pack("<Q", 0xDEAD000000000100))
    found, cuts = on_list(kernel)
    assert found == ENTRIES
    assert len(cuts) == 1


def test_a_head_that_is_missing(kernel: FakeKernel) -> None:
    del kernel.pages[HEAD >> 12]
    found, cuts = on_list(kernel)
    assert (found, len(cuts)) == ([], 1)


@pytest.fixture
def idr() -> FakeKernel:
    """An IDR with two levels: two leaves with two pointers each."""
    made = FakeKernel()
    prog = made.prog
    pointer = prog.pointer_type(prog.void_type())
    made.struct("xa_node", shift=made.u64, slots=prog.array_type(pointer, 64))
    root = made.struct("xarray", xa_head=pointer)
    made.struct("thing", first=made.u64)
    made.types["idr"] = made.struct("idr", idr_rt=root)
    made.write(0x1000, struct.pack("<Q", 0x2002))
    made.write(0x2000, struct.pack("<3Q", 6, 0x3002, 0x4002))
    made.write(0x3000, struct.pack("<4Q", 0, 0x8000, 0, 0x8010))
    made.write(0x4000, struct.pack("<4Q", 0, 1030, 0x8020, 0x8030))
    return made


def in_idr(made: FakeKernel) -> tuple[list[int], list[str]]:
    found = list(idr_entries(Object(made.prog, "struct idr", address=0x1000), "struct thing"))
    cuts = [str(entry.error) for entry in found if isinstance(entry, Cut)]
    return [entry.value_() for entry in found if not isinstance(entry, Cut)], cuts


def test_a_whole_idr(idr: FakeKernel) -> None:
    """Reserved numbers are no pointers."""
    assert in_idr(idr) == ([0x8000, 0x8010, 0x8020, 0x8030], [])


@pytest.mark.parametrize(("bad", "left"), [(3, [0x8020, 0x8030]), (4, [0x8000, 0x8010]), (2, [])])
def test_a_node_of_an_idr_costs_what_is_below_it(
    idr: FakeKernel, bad: int, left: list[int]
) -> None:
    del idr.pages[bad]
    found, cuts = in_idr(idr)
    assert (found, len(cuts)) == (left, 1)


def test_an_idr_in_circles(idr: FakeKernel) -> None:
    idr.write(0x3000 + 16, struct.pack("<Q", 0x2002))
    assert in_idr(idr) == ([0x8000, 0x8010, 0x8020, 0x8030], ["it goes in circles"])


def chains(
    following: dict[int, int], starts: list[int], most: int = 100
) -> tuple[list[set[int]], int]:
    """Chains by a dictionary; what is not in it is unreadable."""

    def step(rows: Index, at: U64) -> tuple[U64, Bool]:
        ok = np.array([a in following for a in at.tolist()], np.bool_)
        return np.array([following.get(a, 0) for a in at.tolist()], np.uint64), ok

    found = Chains(step, most)
    met: list[set[int]] = [set() for _ in starts]
    for rows, at in found.follow(np.array(starts, np.uint64), np.zeros(len(starts), np.uint64)):
        for row, address in zip(rows.tolist(), at.tolist(), strict=True):
            met[row].add(address)
    return met, found.broken


def test_chains() -> None:
    following = {1: 2, 2: 3, 3: 0, 4: 0, 5: 6, 6: 7}
    assert chains(following, [1, 4, 0, 5]) == ([{1, 2, 3}, {4}, set(), {5, 6, 7}], 1)


@pytest.mark.parametrize("tail", [0, 1, 5, 9])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_chains_in_circles(tail: int, length: int) -> None:
    following = {n: n + 1 for n in range(1, tail + length)} | {tail + length: tail + 1}
    met, broken = chains(following | {50: 0}, [1, 50], most=1 << 30)
    assert met == [set(range(1, tail + length + 1)), {50}]
    assert broken == 1


def test_chains_do_not_go_on_for_ever() -> None:
    met, broken = chains({n: n + 1 for n in range(1, 1000)}, [1], most=10)
    assert (len(met[0]), broken) == (10, 1)
