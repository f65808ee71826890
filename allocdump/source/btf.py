# SPDX-License-Identifier: LGPL-2.1-or-later
"""BTF, the BPF Type Format: an index over the raw bytes.

Mirrors ``include/uapi/linux/btf.h`` and ``Documentation/bpf/btf.rst``. Nothing
here knows drgn; :mod:`allocdump.source.btf_types` turns records into drgn types.

The index is three arrays (offset, name, kind and length of each type), built
without decoding any type. A record is decoded when it is asked for.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

MAGIC = 0xEB9F
_HEADER_SIZE = 24


class BtfError(ValueError):
    """The bytes are not BTF, or are damaged."""


class BtfKind(IntEnum):
    """``BTF_KIND_*``"""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


# What follows struct btf_type: fixed bytes, and bytes per entry (vlen entries).
_TRAILER = {
    BtfKind.INT: (4, 0),
    BtfKind.ARRAY: (12, 0),
    BtfKind.STRUCT: (0, 12),
    BtfKind.UNION: (0, 12),
    BtfKind.ENUM: (0, 8),
    BtfKind.FUNC_PROTO: (0, 8),
    BtfKind.VAR: (4, 0),
    BtfKind.DATASEC: (0, 12),
    BtfKind.DECL_TAG: (4, 0),
    BtfKind.ENUM64: (0, 12),
}


@dataclass(frozen=True, slots=True)
class TypeRecord:
    """One ``struct btf_type``: *size_or_type* is its size or the type it refers to."""

    id: int
    kind: BtfKind
    name: str
    vlen: int
    kind_flag: bool
    size_or_type: int
    trailer: int
    """Byte offset of the data behind the record."""


@dataclass(frozen=True, slots=True)
class Member:
    """A struct or union member; *bit_field_size* is 0 if it is not a bit field."""

    name: str
    type_id: int
    bit_offset: int
    bit_field_size: int


class Btf:
    """An index over one BTF blob.

    :raises BtfError: if *data* is not BTF or its type section is damaged
    """

    def __init__(self, data: bytes) -> None:
        if len(data) < _HEADER_SIZE:
            raise BtfError("BTF is shorter than its header")
        for order in "<>":
            magic, version = struct.unpack_from(order + "HB", data)
            if magic == MAGIC:
                break
        else:
            raise BtfError("BTF has the wrong magic number")
        if version != 1:
            raise BtfError(f"BTF version {version} is unknown")
        self.byteorder = order
        # Newer headers are longer (layout section, Linux 7.0): hdr_len says by how much.
        hdr_len, type_off, type_len, str_off, str_len = struct.unpack_from(order + "5I", data, 4)
        types, strings = hdr_len + type_off, hdr_len + str_off
        if types + type_len > len(data) or strings + str_len > len(data) or types % 4:
            raise BtfError("BTF sections lie outside of it")
        self._data = data
        self._strings = data[strings : strings + str_len]
        self._index(types, type_len)

    def _index(self, start: int, length: int) -> None:
        """Find where each type starts.

        The size of a record follows from its second word, so "where would the next
        record start" is computed for every word at once; the chain is then followed.
        """
        words = np.frombuffer(self._data, self.byteorder + "u4", length // 4, start)
        fixed = np.zeros(32, np.int64)
        per_entry = np.zeros(32, np.int64)
        for kind, (size, entry) in _TRAILER.items():
            fixed[kind], per_entry[kind] = size // 4, entry // 4
        info = words[1:].astype(np.int64)
        kinds = info >> 24 & 0x1F
        step = 3 + fixed[kinds] + per_entry[kinds] * (info & 0xFFFF)
        following = (np.arange(len(step)) + step).tolist()
        at, last = 0, len(words) - 3
        positions = []
        while at <= last:
            positions.append(at)
            at = following[at]
        if at != len(words):
            raise BtfError("BTF type section does not end with a whole type")
        where = np.array(positions, np.int64)
        # Type 0 is void and has no record.
        self._offsets = np.concatenate(([0], start + 4 * where))
        self._name_offs = np.concatenate(([0], words[where])).astype(np.uint32)
        self._infos = np.concatenate(([0], words[where + 1])).astype(np.uint32)
        self._kinds = (self._infos >> 24 & 0x1F).astype(np.uint8)
        if self._kinds.max(initial=0) > max(BtfKind):
            raise BtfError(f"BTF kind {self._kinds.max()} is unknown")

    def __len__(self) -> int:
        """Number of types, void included."""
        return len(self._offsets)

    def string(self, offset: int) -> str:
        end = self._strings.find(b"\0", offset)
        if end < 0 or offset >= len(self._strings):
            raise BtfError(f"BTF string offset {offset} is outside the string section")
        return self._strings[offset:end].decode("utf-8", "backslashreplace")

    def _string_offsets(self, name: str) -> list[int]:
        """Every offset that reads as *name*: strings may share their tails."""
        needle = name.encode() + b"\0"
        found, at = [], self._strings.find(needle)
        while at >= 0:
            found.append(at)
            at = self._strings.find(needle, at + 1)
        return found

    def find(self, name: str, *kinds: BtfKind) -> list[int]:
        """IDs of the types of one of *kinds* that are called *name*, ascending."""
        found: list[int] = []
        for offset in self._string_offsets(name):
            same = np.flatnonzero(self._name_offs == offset)
            found += same[np.isin(self._kinds[same], kinds)].tolist()
        return sorted(found)

    def record(self, type_id: int) -> TypeRecord:
        """Decode the head of one type.

        :raises BtfError: if there is no such type
        """
        if type_id == 0:
            return TypeRecord(0, BtfKind.VOID, "", 0, False, 0, 0)
        if not 0 < type_id < len(self):
            raise BtfError(f"BTF type {type_id} does not exist")
        offset = int(self._offsets[type_id])
        name_off, info, size_or_type = struct.unpack_from(self.byteorder + "3I", self._data, offset)
        return TypeRecord(
            type_id,
            BtfKind(info >> 24 & 0x1F),
            self.string(name_off),
            info & 0xFFFF,
            bool(info >> 31),
            size_or_type,
            offset + 12,
        )

    def _entries(self, record: TypeRecord, layout: str) -> list[tuple[int, ...]]:
        size = record.vlen * struct.calcsize(layout)
        raw = self._data[record.trailer : record.trailer + size]
        return list(struct.iter_unpack(self.byteorder + layout, raw))

    def int_encoding(self, record: TypeRecord) -> tuple[bool, bool, int, int]:
        """Of an INT: (is signed, is bool, bit offset, bits)."""
        (word,) = struct.unpack_from(self.byteorder + "I", self._data, record.trailer)
        encoding = word >> 24 & 0xF
        return bool(encoding & 1), bool(encoding & 4), word >> 16 & 0xFF, word & 0xFF

    def array(self, record: TypeRecord) -> tuple[int, int]:
        """Of an ARRAY: (element type ID, number of elements)."""
        element, _index, count = struct.unpack_from(
            self.byteorder + "3I", self._data, record.trailer
        )
        return element, count

    def members(self, record: TypeRecord) -> list[Member]:
        """Of a STRUCT or UNION, in order."""
        out = []
        for name_off, type_id, offset in self._entries(record, "3I"):
            bits = offset >> 24 if record.kind_flag else 0
            bit_offset = offset & 0xFFFFFF if record.kind_flag else offset
            if not record.kind_flag:
                # Before kind_flag, a bit field was an INT with fewer bits than its size.
                target = self.record(type_id)
                if target.kind is BtfKind.INT:
                    _, _, int_offset, int_bits = self.int_encoding(target)
                    if int_bits != 8 * target.size_or_type or int_offset:
                        bits, bit_offset = int_bits, bit_offset + int_offset
            out.append(Member(self.string(name_off), type_id, bit_offset, bits))
        return out

    def enumerators(self, record: TypeRecord) -> list[tuple[str, int]]:
        """Of an ENUM or ENUM64: (name, value); signed if the kind flag says so."""
        if record.kind is BtfKind.ENUM64:
            raw = [(n, lo | hi << 32) for n, lo, hi in self._entries(record, "3I")]
            bits = 64
        else:
            raw = [(n, v) for n, v in self._entries(record, "2I")]
            bits = 32
        sign = 1 << (bits - 1) if record.kind_flag else 0
        return [(self.string(n), (v ^ sign) - sign) for n, v in raw]

    def parameters(self, record: TypeRecord) -> list[tuple[str, int]]:
        """Of a FUNC_PROTO: (name, type ID); a last type ID of 0 means ``...``."""
        return [(self.string(n), t) for n, t in self._entries(record, "2I")]

    def find_enumerator(self, name: str) -> tuple[int, int] | None:
        """(enum type ID, value) of the first enumerator called *name*."""
        names, owners, places = self._enumerators
        found = np.flatnonzero(np.isin(names, self._string_offsets(name)))
        if not len(found):
            return None
        type_id, place = int(owners[found[0]]), int(places[found[0]])
        return type_id, self.enumerators(self.record(type_id))[place][1]

    @cached_property
    def _enumerators(self) -> tuple[npt.NDArray[np.uint32], ...]:
        """Of all enumerators: name offset, type ID of the enum, place in it."""
        names, owners, places = [], [], []
        for kind, words in ((BtfKind.ENUM, 2), (BtfKind.ENUM64, 3)):
            for type_id in np.flatnonzero(self._kinds == kind).tolist():
                count = int(self._infos[type_id]) & 0xFFFF
                start = int(self._offsets[type_id]) + 12
                entries = np.frombuffer(self._data, self.byteorder + "u4", count * words, start)
                names.append(entries[::words])
                owners.append(np.full(count, type_id, np.uint32))
                places.append(np.arange(count, dtype=np.uint32))
        empty = np.zeros(0, np.uint32)
        return tuple(np.concatenate([empty, *column]) for column in (names, owners, places))

    def kinds(self) -> npt.NDArray[np.uint8]:
        """BtfKind of each type ID: shape (number of types,)."""
        return self._kinds
