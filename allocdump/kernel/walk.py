# SPDX-License-Identifier: LGPL-2.1-or-later
"""Walks over the kernel's lists, which may be damaged, or change under a walk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from drgn import FaultError, Object, OutOfBoundsError, Program, ProgramFlags

T = TypeVar("T")

# What a walk over damaged lists may meet.
_Broken: tuple[type[Exception], ...] = (FaultError, LookupError, ValueError, OverflowError)

# And over types that are not what is expected: drgn says AttributeError for a member that
# there is not, TypeError for another kind of type.
ReadErrors: tuple[type[Exception], ...] = (
    *_Broken,
    AttributeError,
    TypeError,
    RecursionError,
    OutOfBoundsError,
)

_ATTEMPTS = 100


def once(objects: Iterable[Object]) -> Iterator[Object]:
    """*objects*, which are pointers, as long as none comes a second time.

    :raises ValueError: if one does
    """
    seen = set()
    for each in objects:
        address = each.value_()
        if address in seen:
            raise ValueError("it goes in circles")
        seen.add(address)
        yield each


def walk(prog: Program, start: Callable[[], Iterable[T]]) -> tuple[list[T], Exception | None]:
    """All that *start* gives up to its end, or to an error, which is returned, too.

    In a kernel that goes on running an entry may be taken off under the walk, which then
    breaks, or strays into another list. As in drgn's helpers, it then starts again, a
    limited number of times.
    """
    attempts = _ATTEMPTS if prog.flags & ProgramFlags.IS_LIVE else 1
    found: list[T] = []
    error: Exception | None = None
    for _ in range(attempts):
        found.clear()
        try:
            for each in start():
                found.append(each)
            return found, None
        except _Broken as e:
            error = e
    return found, error
