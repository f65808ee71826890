# SPDX-License-Identifier: LGPL-2.1-or-later
"""drgn types made from BTF, one at a time, when drgn asks for them."""

from __future__ import annotations

from collections.abc import Callable

from drgn import (
    Object,
    Program,
    Qualifiers,
    Type,
    TypeEnumerator,
    TypeKind,
    TypeKindSet,
    TypeMember,
    TypeParameter,
)

from .btf import Btf, BtfError, BtfKind, Member, TypeRecord

_KINDS = {
    TypeKind.INT: (BtfKind.INT,),
    TypeKind.BOOL: (BtfKind.INT,),
    TypeKind.FLOAT: (BtfKind.FLOAT,),
    TypeKind.STRUCT: (BtfKind.STRUCT,),
    TypeKind.UNION: (BtfKind.UNION,),
    TypeKind.ENUM: (BtfKind.ENUM, BtfKind.ENUM64),
    TypeKind.TYPEDEF: (BtfKind.TYPEDEF,),
}

_QUALIFIERS = {
    BtfKind.CONST: Qualifiers.CONST,
    BtfKind.VOLATILE: Qualifiers.VOLATILE,
    BtfKind.RESTRICT: Qualifiers.RESTRICT,
}

# A chain of pointers, qualifiers and arrays longer than this is not a kernel's.
_MAX_DEPTH = 64


class BtfTypes:
    """Makes and keeps drgn types of one program from one BTF.

    :meth:`find` is a drgn type finder, for :meth:`drgn.Program.register_type_finder`.
    """

    def __init__(self, prog: Program, btf: Btf) -> None:
        self.prog = prog
        self.btf = btf
        self._made: dict[int, Type] = {}
        # drgn's helpers ask for the same again and again.
        self._constants: dict[str, Object | None] = {}
        self._variables: dict[str, int] = {}
        self._found: dict[tuple[tuple[TypeKind, ...], str], Type | None] = {}
        self._depth = 0

    def find(
        self, prog: Program, kinds: TypeKindSet, name: str, filename: str | None
    ) -> Type | None:
        """drgn type finder. BTF knows no file names: a lookup with one finds nothing."""
        if filename:
            return None
        key = (tuple(kinds), name)
        if key not in self._found:
            self._found[key] = self._find(kinds, name)
        return self._found[key]

    def _find(self, kinds: TypeKindSet, name: str) -> Type | None:
        wanted = [k for kind in kinds for k in _KINDS.get(kind, ())]
        for type_id in self.btf.find(name, *wanted):
            found = self.type(type_id)
            if found.kind in kinds:
                return found
        return None

    def variable(self, name: str) -> Type | None:
        """Type of the global variable *name*; BTF has those of per-CPU variables."""
        if name not in self._variables:
            ids = self.btf.find(name, BtfKind.VAR)
            self._variables[name] = ids[0] if ids else 0
        type_id = self._variables[name]
        return self.type(self.btf.record(type_id).size_or_type) if type_id else None

    def enumerator(self, name: str) -> Object | None:
        """The enumerator *name* as a constant."""
        if name not in self._constants:
            found = self.btf.find_enumerator(name)
            self._constants[name] = found and Object(self.prog, self.type(found[0]), found[1])
        return self._constants[name]

    def type(self, type_id: int) -> Type:
        """The drgn type of a BTF type ID.

        :raises BtfError: if the BTF is damaged, or refers to itself without end
        """
        made = self._made.get(type_id)
        if made is None:
            if self._depth >= _MAX_DEPTH:
                raise BtfError(f"BTF type {type_id} is nested without end")
            self._depth += 1
            try:
                made = self._made[type_id] = self._make(self.btf.record(type_id))
            finally:
                self._depth -= 1
        return made

    def _make(self, r: TypeRecord) -> Type:
        prog, order = self.prog, "little" if self.btf.byteorder == "<" else "big"
        match r.kind:
            case BtfKind.VOID:
                return prog.void_type()
            case BtfKind.INT:
                signed, is_bool, _, _ = self.btf.int_encoding(r)
                if is_bool:
                    return prog.bool_type(r.name, r.size_or_type, order)
                return prog.int_type(r.name, r.size_or_type, signed, order)
            case BtfKind.FLOAT:
                return prog.float_type(r.name, r.size_or_type, order)
            case BtfKind.PTR:
                return prog.pointer_type(self.type(r.size_or_type))
            case BtfKind.ARRAY:
                element, count = self.btf.array(r)
                # BTF writes a flexible array member as an array of no elements.
                return prog.array_type(self.type(element), count or None)
            case BtfKind.STRUCT | BtfKind.UNION:
                make = prog.struct_type if r.kind is BtfKind.STRUCT else prog.union_type
                members = [
                    TypeMember(self._member(m), m.name or None, m.bit_offset)
                    for m in self.btf.members(r)
                ]
                return make(r.name or None, r.size_or_type, members)
            case BtfKind.FWD:
                kind = BtfKind.UNION if r.kind_flag else BtfKind.STRUCT
                for type_id in self.btf.find(r.name, kind):
                    return self.type(type_id)
                return (prog.union_type if r.kind_flag else prog.struct_type)(r.name)
            case BtfKind.ENUM | BtfKind.ENUM64:
                values = self.btf.enumerators(r)
                if not values:
                    return prog.enum_type(r.name or None)
                return prog.enum_type(
                    r.name or None,
                    self._enum_integer(r.size_or_type, r.kind_flag, order),
                    [TypeEnumerator(name, value) for name, value in values],
                )
            case BtfKind.TYPEDEF:
                return prog.typedef_type(r.name, self.type(r.size_or_type))
            case BtfKind.CONST | BtfKind.VOLATILE | BtfKind.RESTRICT:
                target = self.type(r.size_or_type)
                return target.qualified(target.qualifiers | _QUALIFIERS[r.kind])
            case BtfKind.TYPE_TAG | BtfKind.FUNC | BtfKind.VAR | BtfKind.DECL_TAG:
                return self.type(r.size_or_type)
            case BtfKind.FUNC_PROTO:
                parameters = self.btf.parameters(r)
                variadic = bool(parameters) and parameters[-1][1] == 0
                if variadic:
                    parameters.pop()
                return prog.function_type(
                    self.type(r.size_or_type),
                    [TypeParameter(self._later(t), name or None) for name, t in parameters],
                    variadic,
                )
        raise BtfError(f"BTF type {r.id} of kind {r.kind.name} is not a C type")

    def _enum_integer(self, size: int, signed: bool, order: str) -> Type:
        names = {1: "char", 2: "short", 4: "int", 8: "long"}
        if size not in names:
            raise BtfError(f"BTF enum has {size} bytes")
        name = names[size] if signed else "unsigned " + names[size]
        return self.prog.int_type(name, size, signed, order)

    def _later(self, type_id: int) -> Callable[[], Type]:
        return lambda: self.type(type_id)

    def _member(self, m: Member) -> Callable[[], Object | Type]:
        if not m.bit_field_size:
            return self._later(m.type_id)
        return lambda: Object(self.prog, self.type(m.type_id), bit_field_size=m.bit_field_size)
