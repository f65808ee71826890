# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names of the kernel that commands read: found by watching them, and in the code."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import drgn.helpers
import pytest
from drgn import Object, Program, Symbol, SymbolIndex, Type, TypeKindSet
from drgn.helpers.linux.kallsyms import load_vmlinux_kallsyms

import allocdump
from allocdump.source import program
from allocdump.source.btf import Btf, BtfKind, Member, TypeRecord
from allocdump.source.btf_types import BtfTypes

SymbolFinder = Callable[[Program, str | None, int | None, bool], list[Symbol]]
Kind = Literal["member", "type", "enumerator", "symbol"]


@dataclass(frozen=True, order=True)
class Name:
    """A name of something that a kernel could call otherwise, or have no more."""

    kind: Kind
    name: str
    owner: str = ""
    """Of a member: its structure, ``struct page``; if that has no name, the one around it."""
    type_id: int = 0
    """The structure's number in BTF."""

    def __str__(self) -> str:
        return f"{self.kind} {self.owner}.{self.name}" if self.owner else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class _Owned(Member):
    owner: int = 0


_members, _enumerators = Btf.members, Btf.enumerators
_find_enumerator, _find = Btf.find_enumerator, Btf.find
_make_member, _find_type = BtfTypes._member, BtfTypes.find


class Watch:
    """Notes the names that are read while it is :meth:`watching`.

    Types of members are made when they are asked for, so making one is reading one; members of
    which only the offset or the presence is asked for are told by :func:`words_of_code`.
    """

    def __init__(self) -> None:
        self.names: set[Name] = set()
        self._around: dict[int, str] = {}
        self._whole: dict[int, list[Name]] = {}
        self._asked: set[str] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Btf, "members", lambda btf, record: self._owned(btf, record))
            patch.setattr(BtfTypes, "_member", lambda types, m: self._member(types, m))
            patch.setattr(BtfTypes, "find", lambda *args: self._find_type(*args))
            patch.setattr(Btf, "find_enumerator", lambda btf, name: self._enumerator(btf, name))
            patch.setattr(program, "load_vmlinux_kallsyms", self._symbols)
            yield
        for type_id, names in self._whole.items():
            if self._around.get(type_id) in self._asked:
                self.names.update(name for name in names if name.name in strings_of_code())

    def _owned(self, btf: Btf, record: TypeRecord) -> list[Member]:
        """The members, which know their structure."""
        owner = self._around.get(record.id, "")
        if record.name:
            owner = f"{record.kind.name.lower()} {record.name}"
        self._around[record.id] = owner
        out: list[Member] = []
        for m in _members(btf, record):
            around, target = owner, btf.record(m.type_id)
            while target.kind == BtfKind.TYPEDEF:
                around, target = target.name, btf.record(target.size_or_type)
            if target.kind in (BtfKind.STRUCT, BtfKind.UNION) and not target.name:
                self._around.setdefault(target.id, around)
            out.append(_Owned(m.name, m.type_id, m.bit_offset, m.bit_field_size, record.id))
        self._whole[record.id] = [Name("member", m.name, owner, record.id) for m in out if m.name]
        return out

    def _member(self, types: BtfTypes, member: Member) -> Callable[[], Object | Type]:
        made = _make_member(types, member)
        if not isinstance(member, _Owned) or not member.name:
            return made

        def make() -> Object | Type:
            known = member.name in words_of_code() | words_of_helpers()
            if known and not _is_listing():
                owner = self._around[member.owner]
                self.names.add(Name("member", member.name, owner, member.owner))
            return made()

        return make

    def _find_type(
        self,
        types: BtfTypes,
        prog: Program,
        kinds: TypeKindSet,
        name: str,
        filename: str | None,
    ) -> Type | None:
        found = _find_type(types, prog, kinds, name, filename)
        if found is not None and name in words_of_code() | words_of_helpers():
            self.names.add(Name("type", name))
            self._asked.add(found.type_name())
        return found

    def _enumerator(self, btf: Btf, name: str) -> tuple[int, int] | None:
        found = _find_enumerator(btf, name)
        if found is not None:
            self.names.add(Name("enumerator", name))
        return found

    def _symbols(self, prog: Program) -> SymbolFinder:
        symbols = load_vmlinux_kallsyms(prog)

        def find(prog: Program, name: str | None, address: int | None, one: bool) -> list[Symbol]:
            found = symbols(prog, name, address, one)
            if name and found and name in words_of_code() | words_of_helpers():
                self.names.add(Name("symbol", name))
            return list(found)

        return find


@contextmanager
def renamed(name: Name) -> Iterator[None]:
    """Programs that are opened within have another name in place of it."""
    other = f"zq_{name.name}"

    def members(btf: Btf, record: TypeRecord) -> list[Member]:
        found = _members(btf, record)
        if record.id != name.type_id:
            return found
        return [
            Member(other, m.type_id, m.bit_offset, m.bit_field_size) if m.name == name.name else m
            for m in found
        ]

    def enumerators(btf: Btf, record: TypeRecord) -> list[tuple[str, int]]:
        found = _enumerators(btf, record)
        return [(other if known == name.name else known, value) for known, value in found]

    def symbols(prog: Program) -> SymbolFinder:
        index: SymbolIndex = load_vmlinux_kallsyms(prog)

        def find(prog: Program, asked: str | None, address: int | None, one: bool) -> list[Symbol]:
            found = index(prog, asked, address, one)
            return [symbol for symbol in found if symbol.name != name.name]

        return find

    with pytest.MonkeyPatch.context() as patch:
        match name.kind:
            case "member":
                patch.setattr(Btf, "members", members)
            case "type":
                patch.setattr(
                    Btf,
                    "find",
                    lambda btf, asked, *kinds: (
                        [] if asked == name.name else _find(btf, asked, *kinds)
                    ),
                )
            case "enumerator":
                patch.setattr(Btf, "enumerators", enumerators)
                patch.setattr(
                    Btf,
                    "find_enumerator",
                    lambda btf, asked: None if asked == name.name else _find_enumerator(btf, asked),
                )
            case "symbol":
                patch.setattr(program, "load_vmlinux_kallsyms", symbols)
        yield


_LISTERS = ("members.py", "folio_batches.py")
"""Modules that go through all members of what they meet, and ask for none by name."""


def _is_listing() -> bool:
    """Tell if one of :data:`_LISTERS` asks."""
    frame = sys._getframe()
    while frame.f_back:
        frame = frame.f_back
        if frame.f_code.co_filename.endswith(_LISTERS):
            return True
    return False


_WORD = re.compile(r"\w+")
_PATH = re.compile(r"\w+(\.\w+)*")


@cache
def strings_of_code() -> frozenset[str]:
    """Names that the project's code has as strings: ``"lru.prev"`` are two of them."""
    return frozenset(
        word
        for node in _nodes_of_code()
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if _PATH.fullmatch(node.value)
        for word in node.value.split(".")
    )


@cache
def words_of_code() -> frozenset[str]:
    """Words that the project's code has as names of members, or in strings but docstrings."""
    found: set[str] = set()
    for node in _nodes_of_code():
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.update(_WORD.findall(node.value) if len(node.value) < 80 else ())
    return frozenset(found)


def _nodes_of_code() -> Iterator[ast.AST]:
    for path in Path(allocdump.__path__[0]).rglob("*.py"):
        if path.name != "expected_names.py":
            yield from ast.walk(ast.parse(path.read_text()))


@cache
def words_of_helpers() -> frozenset[str]:
    """Words of drgn's helpers."""
    found: set[str] = set()
    for path in Path(drgn.helpers.__path__[0], "linux").rglob("*.py"):
        found.update(_WORD.findall(path.read_text()))
    return frozenset(found)
