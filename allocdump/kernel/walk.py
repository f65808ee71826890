# SPDX-License-Identifier: LGPL-2.1-or-later
"""Walks over the kernel's lists, trees and tables, which may be damaged, or change under a walk.

A walk steps from entry to entry, and converts each. Both may fail: where stepping does, the
structure is damaged, and what it does not lead to is missing; where converting does, one entry
is missing. Either becomes a :class:`Problem`, and the walk goes on as far as it can.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Generic, TypeVar

from drgn import (
    FaultError,
    Object,
    ObjectNotFoundError,
    OutOfBoundsError,
    Program,
    ProgramFlags,
    Type,
)

from ..arch.known import plain
from ..problems import Code, Problem
from ..result import Result, Values, column
from ..text import some

T = TypeVar("T")
Entry = TypeVar("Entry")

# What the kernel's memory may lead to: where it is missing, or says what cannot be.
_BROKEN: tuple[type[Exception], ...] = (
    FaultError,
    LookupError,
    ValueError,
    OverflowError,
    RecursionError,
    OutOfBoundsError,
    NotImplementedError,
)

# And over types that are not what is expected: drgn says AttributeError for a member that
# there is not, TypeError for another kind of type.
ReadErrors: tuple[type[Exception], ...] = (*_BROKEN, AttributeError, TypeError)

_OTHER_KIND = re.compile(r"'[^']+' is not an? |cannot read object with ")
"""Messages of drgn for a type of another kind; Python says ``'...' object is not``."""

_ATTEMPTS = 100
_MOST = 1 << 22


def is_damage(error: Exception) -> bool:
    """Tell if an exception is about the memory or the types of a dump, not a bug of ours."""
    if isinstance(error, (KeyError, IndexError)):
        return isinstance(error, ObjectNotFoundError)
    if isinstance(error, AttributeError):
        return isinstance(error.obj, (Object, Type, Program))
    if isinstance(error, TypeError):
        return bool(_OTHER_KIND.match(str(error)))
    # drgn has no class of its own for the errors that are rare.
    return type(error) is Exception or isinstance(error, _BROKEN)


@dataclass(frozen=True)
class Structure:
    """Something of the kernel's that is walked, in the words of its problems."""

    name: str
    """``the list of slab caches``"""
    entry: str
    """One of its entries: ``slab cache``."""
    entries: str
    """Several of them."""
    code: Code = Code.DAMAGED
    many: bool = False
    """The name is plural."""
    affects: str = ""
    """Effect on the answer where one is missing; see :attr:`Problem.affects`."""
    most: int = _MOST
    """One with more entries goes in circles."""

    def cut(self, error: Exception) -> Problem:
        """The problem of not getting to the end of it."""
        return Problem(self.code, self.name, str(error), self.affects, self.many)

    def unreadable(self, count: int) -> Problem:
        """The problem of a number of entries that cannot be read."""
        subject = some(count, self.entry, self.entries)
        return Problem(Code.UNREADABLE, subject, "", self.affects, count != 1)


STRUCTURES: list[Structure] = []
"""All that is walked anywhere, for the tests."""


def structure(
    name: str,
    entry: str,
    entries: str = "",
    *,
    code: Code = Code.DAMAGED,
    many: bool = False,
    affects: str = "",
    most: int = _MOST,
) -> Structure:
    """Declare something that is walked; its entries are called *entry* and an ``s`` by default."""
    made = Structure(name, entry, entries or f"{entry}s", code, many, affects, most)
    STRUCTURES.append(made)
    return made


@dataclass(frozen=True)
class Walked(Result, Generic[T]):
    """Result of a walk: entries in order, and problems."""

    found: list[T]
    problems: list[Problem]

    def __iter__(self) -> Iterator[T]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def to_dict(self) -> dict[str, Values]:
        """The fields of all entries as columns, those of records in them included."""
        rows = [_fields(entry) for entry in self.found]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: column([row.get(name) for row in rows]) for name in names}


def _fields(entry: Any) -> dict[str, Any]:
    if not is_dataclass(entry):
        return {"entry": str(entry)}
    inner = [getattr(entry, field.name) for field in fields(entry)]
    out: dict[str, Any] = {}
    for part in filter(is_dataclass, inner):
        out |= _fields(part)
    pairs = zip(fields(entry), inner, strict=True)
    return out | {field.name: value for field, value in pairs if not is_dataclass(value)}


@dataclass(frozen=True)
class Cut:
    """Stands among entries for those that cannot be got to from there."""

    error: Exception


def bounded_count(count: int, most: int, subject: str) -> int:
    """A number of a dump's that a loop runs to.

    :param most: larger than it is in any kernel
    :raises ValueError: if it is more, or negative
    """
    if not 0 <= count <= most:
        raise ValueError(f"{subject} is damaged: {count:,}")
    return count


def as_found(entry: Object) -> Object:
    """Convert nothing: entries are read later, or told by their addresses."""
    return entry


def walk(
    prog: Program,
    what: Structure,
    entries: Callable[[], Iterable[Entry | Cut]],
    convert: Callable[[Entry], T | None],
    key: Callable[[Entry], Hashable] | None = None,
) -> Walked[T]:
    """Take all *entries*, as far as they can be stepped through, and convert them one by one.

    In a kernel that goes on running an entry may be taken off under the walk, which then
    breaks, or strays into another list. As in drgn's helpers, it then starts again, a
    limited number of times.

    :param entries: starts to step from entry to entry
    :param convert: reads an entry; None leaves it out
    :param key: tells entries apart; by default, what pointers point at
    """
    attempts = _ATTEMPTS if prog.flags & ProgramFlags.IS_LIVE else 1
    for _ in range(attempts):
        walked, whole = _walk(what, entries, convert, key or _address)
        if whole:
            break
    return walked


def _walk(
    what: Structure,
    entries: Callable[[], Iterable[Entry | Cut]],
    convert: Callable[[Entry], T | None],
    key: Callable[[Entry], Hashable],
) -> tuple[Walked[T], bool]:
    """Entries found, and whether all could be stepped through."""
    found: list[T] = []
    errors: list[Exception] = []
    unreadable = 0
    for entry in _bounded(entries, key, what.most):
        if isinstance(entry, Cut):
            errors.append(entry.error)
            continue
        try:
            converted = convert(entry)
        except Exception as e:
            if not is_damage(e):
                raise
            unreadable += 1
            continue
        if converted is not None:
            found.append(converted)
    problems = [what.cut(errors[0])] if errors else []
    if unreadable:
        problems.append(what.unreadable(unreadable))
    return Walked(found, problems), not errors


def _bounded(
    entries: Callable[[], Iterable[Entry | Cut]], key: Callable[[Entry], Hashable], most: int
) -> Iterator[Entry | Cut]:
    """Each entry once; a :class:`Cut` where one comes again, or there is no way on."""
    seen: set[Hashable] = set()
    again = 0
    try:
        for entry in entries():
            if isinstance(entry, Cut):
                yield entry
                continue
            which = key(entry)
            if which not in seen and len(seen) < most:
                seen.add(which)
                yield entry
                continue
            # Other lists may follow this one; if none does, there is no end.
            again += 1
            if again == 1:
                yield Cut(ValueError("it goes in circles"))
            if again > len(seen):
                return
    except Exception as e:
        if not is_damage(e):
            raise
        yield Cut(e)


def _address(entry: object) -> Hashable:
    return entry.value_() if isinstance(entry, Object) else entry


def list_entries(type_: str, head: Object, member: str) -> Iterator[Object | Cut]:
    """Entries of a ``struct list_head``, each once: what ``list_for_each_entry()`` gives.

    Links go both ways. Where one is broken, those behind it are found from the end, so that
    an entry that cannot be read costs itself only.

    :param head: ``struct list_head *``
    """
    prog, offset = head.prog_, _offset(head.prog_, type_, member)
    pointer = prog.pointer_type(prog.type(type_))
    seen = {plain(prog, head.value_())}
    error = None
    for link in _links(head, "next", seen):
        if isinstance(link, Cut):
            error = link
        else:
            yield Object(prog, pointer, link - offset)
    if error is None:
        return
    yield error
    behind = [link for link in _links(head, "prev", seen) if not isinstance(link, Cut)]
    for link in reversed(behind):
        yield Object(prog, pointer, link - offset)


def _offset(prog: Program, type_: str, member: str) -> int:
    return int(prog.type(type_).member(member).offset)


def _links(head: Object, direction: str, seen: set[int]) -> Iterator[int | Cut]:
    """Addresses of links from one end of a list on, up to the head or to one that was seen."""
    prog, start = head.prog_, plain(head.prog_, head.value_())
    try:
        link = head.member_(direction).read_()
        while (address := plain(prog, link.value_())) != start:
            if address in seen or len(seen) > _MOST:
                raise ValueError("it goes in circles")
            # The link that comes next tells whether this one is there.
            link = link.member_(direction).read_()
            seen.add(address)
            yield address
    except Exception as e:
        if not is_damage(e):
            raise
        yield Cut(e)


def tree_entries(type_: str, root: Object, member: str) -> Iterator[Object | Cut]:
    """Entries of a ``struct rb_root``, parents before children, each once.

    A node that cannot be read costs what is below it.

    :param root: ``struct rb_root *``
    """
    prog, offset = root.prog_, _offset(root.prog_, type_, member)
    pointer = prog.pointer_type(prog.type(type_))
    todo, seen = [root.rb_node], set()
    while todo:
        try:
            node = todo.pop().read_()
            address = plain(prog, node.value_())
            if address in seen:
                raise ValueError("it goes in circles")
            if node:
                seen.add(address)
                children = node[0].read_()
                todo += [children.rb_right, children.rb_left]
        except Exception as e:
            if not is_damage(e):
                raise
            yield Cut(e)
        else:
            if node:
                yield Object(prog, pointer, address - offset)


_XA_INTERNAL, _XA_KINDS, _XA_SMALLEST_NODE = 2, 3, 4096


def idr_entries(idr: Object, type_: str) -> Iterator[Object | Cut]:
    """Pointers in a ``struct idr``, ascending by number: what ``idr_for_each_entry()`` gives."""
    return xarray_entries(idr.idr_rt, type_)


def xarray_entries(xarray: Object, type_: str) -> Iterator[Object | Cut]:
    """Pointers in a ``struct xarray``, ascending by number: what ``xa_for_each()`` gives.

    A node that cannot be read costs what is below it. Mirrors ``include/linux/xarray.h``
    (``xa_is_node()``, ``xa_to_node()``).
    """
    prog = xarray.prog_
    pointer = prog.pointer_type(prog.type(type_))
    todo = [int(xarray.xa_head.value_())]
    seen: set[int] = set()
    while todo:
        entry = todo.pop()
        if entry & _XA_KINDS == _XA_INTERNAL and entry > _XA_SMALLEST_NODE:
            node = Object(prog, "struct xa_node *", entry - _XA_INTERNAL)
            try:
                if entry in seen:
                    raise ValueError("it goes in circles")
                seen.add(entry)
                todo += [slot.value_() for slot in reversed(list(node[0].read_().slots))]
            except Exception as e:
                if not is_damage(e):
                    raise
                yield Cut(e)
        elif entry and entry & _XA_KINDS == 0:
            yield Object(prog, pointer, plain(prog, entry))
