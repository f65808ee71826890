# SPDX-License-Identifier: LGPL-2.1-or-later
"""drgn types made from the facts of a release."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from drgn import Program, Type, TypeEnumerator, TypeKind, TypeKindSet, TypeMember, TypeParameter

from .facts import Release

_KINDS = {
    TypeKind.STRUCT: "struct",
    TypeKind.UNION: "union",
    TypeKind.ENUM: "enum",
    TypeKind.TYPEDEF: "typedef",
}
_WORDS = {"u64": "unsigned long", "slab_flags_t": "unsigned int"}
"""Types of members that files do not tell."""
_BITS = re.compile(r"(?P<type>.*):(?P<bits>\d+)$")
_FUNCTION = re.compile(r".*\(\*\)\((?P<parameters>.*)\)$")


class FactTypes:
    """:meth:`find` is a type finder over the facts of a release."""

    def __init__(self, prog: Program, release: Release) -> None:
        self._prog, self._release = prog, release
        self._made: dict[str, Type] = {}

    def find(
        self, prog: Program, kinds: TypeKindSet, name: str, filename: str | None
    ) -> Type | None:
        for kind in kinds:
            key = f"{_KINDS.get(kind)} {name}"
            if key in self._release.types:
                if key not in self._made:
                    self._made[key] = self._make(kind, name, dict(self._release.types[key]))
                return self._made[key]
        return None

    def forget(self, release: Release) -> None:
        """Types that are asked for from now on are those of another release."""
        self._release = release
        self._made.clear()

    def constants(self) -> dict[str, int]:
        """All enumerators."""
        found = dict(self._release.constants)
        for name, facts in self._release.types.items():
            if name.startswith("enum "):
                found |= facts
        return found

    def _make(self, kind: TypeKind, tag: str, facts: dict[str, Any]) -> Type:
        prog = self._prog
        if kind == TypeKind.ENUM:
            enumerators = [TypeEnumerator(name, value) for name, value in facts.items()]
            return prog.enum_type(tag, prog.type("unsigned int"), enumerators)
        size = facts.pop(_SIZE)
        members = [self._member(name, where) for name, where in facts.items()]
        if kind == TypeKind.TYPEDEF:
            return prog.typedef_type(tag, prog.struct_type(None, size, members))
        make = prog.union_type if kind == TypeKind.UNION else prog.struct_type
        return make(tag, size, members)

    def _member(self, name: str, where: str) -> TypeMember:
        place, _, text = where.partition(" ")
        byte, _, bit = place.partition(".")
        offset = 8 * int(byte) + int(bit or 0)
        if field := _BITS.match(text):
            of, bits = field["type"], int(field["bits"])
            return TypeMember(_object(self._prog, of, bits), name, offset)
        return TypeMember(lambda: self._resolve(text), name, offset)

    def _resolve(self, text: str) -> Type:
        prog = self._prog
        text = re.sub(r"\bconst ", "", text)
        if function := _FUNCTION.match(text):
            count = function["parameters"].count(",") + 1
            word = TypeParameter(prog.type("unsigned long"))
            return prog.pointer_type(prog.function_type(prog.void_type(), [word] * count, False))
        try:
            return prog.type(_WORDS.get(text, text))
        except LookupError:
            # What it points at, or is, no reader asks for.
            return prog.type("void *")


_SIZE = "sizeof"


def _object(prog: Program, type_: str, bits: int) -> Callable[[], Any]:
    from drgn import Object

    return lambda: Object(prog, prog.type(type_), bit_field_size=bits)
