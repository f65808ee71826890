# SPDX-License-Identifier: LGPL-2.1-or-later
"""The part of the protocol buffer wire format that a profile needs.

Numbers, strings and messages in messages: one encoding of numbers and one of everything
else (https://protobuf.dev/programming-guides/encoding/). A library would come with
generated code and a dependency for less than this.
"""

from __future__ import annotations

from collections.abc import Iterable

_VARINT, _BYTES = 0, 2


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # a negative int64 is its two's complement
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """An int64, uint64 or bool; zero, the default, is left out."""
    return _varint(field << 3 | _VARINT) + _varint(value) if value else b""


def numbers(field: int, values: Iterable[int]) -> bytes:
    """A repeated int64 or uint64, packed."""
    return embedded(field, b"".join(map(_varint, values)))


def embedded(field: int, content: bytes) -> bytes:
    """A string or a message."""
    return _varint(field << 3 | _BYTES) + _varint(len(content)) + content
