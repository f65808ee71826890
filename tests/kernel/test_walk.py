# SPDX-License-Identifier: LGPL-2.1-or-later
"""Walks over lists that are damaged, or change under the walk."""

from types import SimpleNamespace

import pytest
from drgn import FaultError, ProgramFlags

from allocdump.kernel.walk import once, walk

DEAD = SimpleNamespace(flags=ProgramFlags(0))
LIVE = SimpleNamespace(flags=ProgramFlags.IS_LIVE)


class Breaks:
    """A list that breaks after two entries, the first *times* times."""

    def __init__(self, times):
        self.left = times

    def __call__(self):
        yield 1
        yield 2
        if self.left:
            self.left -= 1
            raise FaultError("gone", 0)
        yield 3


def test_a_dump_does_not_get_better():
    found, error = walk(DEAD, Breaks(1))
    assert found == [1, 2]
    assert "gone" in str(error)


def test_a_running_kernel_does():
    assert walk(LIVE, Breaks(5)) == ([1, 2, 3], None)


def test_not_for_ever():
    found, error = walk(LIVE, Breaks(-1))
    assert found == [1, 2]
    assert "gone" in str(error)


def test_bugs_are_not_retried():
    def bug():
        raise TypeError
        yield

    with pytest.raises(TypeError):
        walk(LIVE, bug)


def pointers(*addresses):
    return [SimpleNamespace(value_=lambda a=a: a) for a in addresses]


def test_circles():
    assert len(list(once(pointers(1, 2, 3)))) == 3
    with pytest.raises(ValueError, match="circles"):
        list(once(pointers(1, 2, 3, 2)))
