# SPDX-License-Identifier: LGPL-2.1-or-later
"""The BTF reader on hand-made BTF: what no one kernel has, and what is damaged."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import pytest
from drgn import Architecture, Object, Platform, PlatformFlags, Program, Qualifiers, TypeKind

from allocdump.source.btf import Btf, BtfError, BtfKind
from allocdump.source.btf_types import BtfTypes

Entry = tuple[str, *tuple[int, ...]]
"""A member, enumerator or parameter: its name and the words after it."""


class Builder:
    """Writes BTF, as pahole does; type IDs count from 1."""

    def __init__(self, order: str = "<", header_size: int = 24) -> None:
        self.order, self.header_size = order, header_size
        self.types, self.strings, self.count = b"", b"\0", 0

    def string(self, text: str) -> int:
        if not text:
            return 0
        offset = len(self.strings)
        self.strings += text.encode() + b"\0"
        return offset

    def words(self, *words: int) -> bytes:
        return struct.pack(f"{self.order}{len(words)}I", *(w & 0xFFFFFFFF for w in words))

    def add(
        self,
        kind: BtfKind,
        name: str = "",
        size_or_type: int = 0,
        entries: Sequence[Entry] = (),
        kind_flag: bool = False,
        trailer: Sequence[int] = (),
    ) -> int:
        vlen = len(entries)
        info = kind_flag << 31 | kind << 24 | vlen
        self.types += self.words(self.string(name), info, size_or_type)
        self.types += self.words(*trailer)
        for first, *rest in entries:
            self.types += self.words(self.string(first), *rest)
        self.count += 1
        return self.count

    def int(
        self,
        name: str = "int",
        size: int = 4,
        signed: bool = True,
        boolean: bool = False,
        bits: int | None = None,
        offset: int = 0,
    ) -> int:
        encoding = (signed | boolean << 2) << 24 | offset << 16 | (bits or 8 * size)
        return self.add(BtfKind.INT, name, size, trailer=[encoding])

    def data(self) -> bytes:
        header = struct.pack(
            self.order + "HBB5I", 0xEB9F, 1, 0, self.header_size,
            0, len(self.types), len(self.types), len(self.strings),
        )  # fmt: skip
        return header.ljust(self.header_size, b"\0") + self.types + self.strings


def types_of(builder: Builder) -> tuple[Program, BtfTypes]:
    flags = PlatformFlags.IS_64_BIT
    if builder.order == "<":
        flags |= PlatformFlags.IS_LITTLE_ENDIAN
    prog = Program(Platform(Architecture.UNKNOWN, flags))
    types = BtfTypes(prog, Btf(builder.data()))
    prog.register_type_finder("btf", types.find, enable_index=0)
    return prog, types


@pytest.mark.parametrize("order", "<>")
def test_struct_in_either_byte_order(order: str) -> None:
    b = Builder(order)
    i = b.int()
    u = b.int("unsigned char", 1, signed=False)
    b.add(BtfKind.STRUCT, "pair", 8, [("a", i, 0), ("b", u, 32)])
    prog, _ = types_of(b)
    pair = prog.type("struct pair")
    assert pair.size == 8
    assert [(m.name, m.type.type_name(), m.offset) for m in pair.members or ()] == [
        ("a", "int", 0),
        ("b", "unsigned char", 4),
    ]
    assert pair.member("a").type.byteorder == ("little" if order == "<" else "big")
    raw = struct.pack(order + "iB3x", -7, 200)
    assert Object.from_bytes_(prog, pair, raw).a.value_() == -7


def test_a_longer_header_is_skipped() -> None:
    b = Builder(header_size=32)
    b.int()
    assert types_of(b)[0].type("int").size == 4


def test_bit_fields_of_both_encodings() -> None:
    b = Builder()
    i = b.int()
    narrow = b.int("int", 4, bits=3, offset=2)
    b.add(BtfKind.STRUCT, "new", 4, [("x", i, 5 | 3 << 24), ("y", i, 0)], kind_flag=True)
    b.add(BtfKind.STRUCT, "old", 4, [("x", narrow, 3), ("y", i, 0)])
    prog, _ = types_of(b)
    for name in ("struct new", "struct old"):
        x = prog.type(name).member("x")
        assert (x.bit_offset, x.bit_field_size) == (5, 3)
        assert prog.type(name).member("y").bit_field_size is None
        value = Object.from_bytes_(prog, prog.type(name), struct.pack("<I", 0b101 << 5))
        assert value.x.value_() == -3


def test_anonymous_members() -> None:
    b = Builder()
    i = b.int()
    inner = b.add(BtfKind.UNION, "", 4, [("a", i, 0), ("b", i, 0)])
    b.add(BtfKind.STRUCT, "outer", 8, [("first", i, 0), ("", inner, 32)])
    prog, _ = types_of(b)
    outer = prog.type("struct outer")
    assert outer.member("b").offset == 4
    assert outer.members is not None
    assert outer.members[1].name is None
    assert outer.members[1].type.kind == TypeKind.UNION


def enumerators(prog: Program, name: str) -> dict[str, int]:
    found = prog.type(name).enumerators
    assert found is not None
    return {one.name: one.value for one in found}


def test_enums() -> None:
    b = Builder()
    b.add(BtfKind.ENUM, "plain", 4, [("ZERO", 0), ("MAX", 0xFFFFFFFF)])
    b.add(BtfKind.ENUM, "negative", 4, [("MINUS", -1)], kind_flag=True)
    b.add(BtfKind.ENUM64, "large", 8, [("BIG", 1, 2), ("NEG", -1, -1)], kind_flag=True)
    b.add(BtfKind.ENUM, "declared", 4)
    prog, types = types_of(b)
    assert enumerators(prog, "enum plain") == {"ZERO": 0, "MAX": 0xFFFFFFFF}
    assert enumerators(prog, "enum negative") == {"MINUS": -1}
    assert enumerators(prog, "enum large") == {"BIG": 1 | 2 << 32, "NEG": -1}
    assert not prog.type("enum declared").is_complete()
    big = types.enumerator("BIG")
    assert big is not None
    assert big.value_() == 1 | 2 << 32
    assert types.enumerator("large") is None


def test_arrays_pointers_qualifiers_tags() -> None:
    b = Builder()
    i = b.int()
    const = b.add(BtfKind.CONST, "", i)
    volatile = b.add(BtfKind.VOLATILE, "", const)
    tag = b.add(BtfKind.TYPE_TAG, "percpu", volatile)
    pointer = b.add(BtfKind.PTR, "", tag)
    array = b.add(BtfKind.ARRAY, "", trailer=[pointer, i, 5])
    flexible = b.add(BtfKind.ARRAY, "", trailer=[i, i, 0])
    b.add(BtfKind.STRUCT, "s", 40, [("array", array, 0), ("rest", flexible, 320)])
    b.add(BtfKind.TYPEDEF, "s_t", 8)
    prog, _ = types_of(b)
    member = prog.type("struct s").member("array").type
    assert member.length == 5
    assert member.type.kind == TypeKind.POINTER
    assert member.type.type.qualifiers == Qualifiers.CONST | Qualifiers.VOLATILE
    assert prog.type("struct s").member("rest").type.length is None
    assert prog.type("s_t").type.tag == "s"


def test_functions_floats_and_booleans() -> None:
    b = Builder()
    i = b.int()
    b.int("_Bool", 1, signed=False, boolean=True)
    b.add(BtfKind.FLOAT, "double", 8)
    proto = b.add(BtfKind.FUNC_PROTO, "", i, [("x", i), ("", 0)])
    pointer = b.add(BtfKind.PTR, "", proto)
    b.add(BtfKind.STRUCT, "ops", 8, [("call", pointer, 0)])
    b.add(BtfKind.FUNC, "function", proto)
    prog, _ = types_of(b)
    call = prog.type("struct ops").member("call").type.type
    assert call.is_variadic
    assert [p.name for p in call.parameters] == ["x"]
    assert prog.type("double").kind == TypeKind.FLOAT
    assert prog.type("_Bool").kind == TypeKind.BOOL


def test_forward_declarations_find_their_definition() -> None:
    b = Builder()
    forward = b.add(BtfKind.FWD, "later")
    pointer = b.add(BtfKind.PTR, "", forward)
    unknown = b.add(BtfKind.FWD, "unknown", kind_flag=True)
    other = b.add(BtfKind.PTR, "", unknown)
    b.add(BtfKind.STRUCT, "s", 16, [("p", pointer, 0), ("q", other, 64)])
    i = b.int()
    b.add(BtfKind.STRUCT, "later", 4, [("x", i, 0)])
    prog, _ = types_of(b)
    s = prog.type("struct s")
    assert s.member("p").type.type.size == 4
    assert s.member("q").type.type.kind == TypeKind.UNION
    assert not s.member("q").type.type.is_complete()


def test_variables_and_datasec() -> None:
    b = Builder()
    i = b.int()
    v = b.add(BtfKind.VAR, "counter", i, trailer=[1])
    b.add(BtfKind.DATASEC, ".data..percpu", 4, [("", 0, 4)])
    b.add(BtfKind.DECL_TAG, "tag", v, trailer=[0xFFFFFFFF])
    _, types = types_of(b)
    counter = types.variable("counter")
    assert counter is not None
    assert counter.type_name() == "int"
    assert types.variable("int") is None


def test_a_linked_list_is_no_endless_type() -> None:
    b = Builder()
    pointer = b.add(BtfKind.PTR, "", 2)
    b.add(BtfKind.STRUCT, "node", 8, [("next", pointer, 0)])
    prog, _ = types_of(b)
    node = prog.type("struct node")
    assert node.member("next").type.type.member("next").type.type.tag == "node"


def test_types_are_decoded_when_asked_for() -> None:
    b = Builder()
    i = b.int()
    broken = b.add(BtfKind.CONST, "", 99)
    b.add(BtfKind.STRUCT, "s", 8, [("fine", i, 0), ("broken", broken, 32)])
    prog, _ = types_of(b)
    s = prog.type("struct s")
    assert s.member("fine").type.size == 4
    with pytest.raises(BtfError, match="99"):
        _ = s.member("broken").type


@pytest.mark.parametrize("kind", [BtfKind.PTR, BtfKind.CONST, BtfKind.TYPEDEF])
def test_a_type_of_itself_is_refused(kind: BtfKind) -> None:
    b = Builder()
    b.add(kind, "loop" if kind is BtfKind.TYPEDEF else "", 1)
    _, types = types_of(b)
    with pytest.raises(BtfError, match="without end"):
        types.type(1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d[:10], "shorter"),
        (lambda d: b"\x12\x34" + d[2:], "magic"),
        (lambda d: d[:2] + b"\x07" + d[3:], "version 7"),
        (lambda d: d[:-2], "outside"),
        (lambda d: d[:12] + struct.pack("<I", 8) + d[16:], "whole type"),
        (lambda d: d[:28] + struct.pack("<I", 31 << 24) + d[32:], "whole type|unknown"),
    ],
)
def test_damaged(damage: Callable[[bytes], bytes], message: str) -> None:
    b = Builder()
    b.int()
    with pytest.raises(BtfError, match=message):
        Btf(damage(b.data()))


def test_names_that_share_a_tail_are_told_apart() -> None:
    b = Builder()
    i = b.int()
    b.add(BtfKind.TYPEDEF, "my_type", i)
    # A string offset into the middle of "my_type".
    b.types += b.words(b.strings.index(b"my_type") + 3, BtfKind.TYPEDEF << 24, i)
    btf = Btf(b.data())
    assert btf.find("type", BtfKind.TYPEDEF) == [3]
    assert btf.find("my_type", BtfKind.TYPEDEF) == [2]
    assert btf.find("e", BtfKind.TYPEDEF) == []
