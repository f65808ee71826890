# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compressed blocks of AVML files, whose parts can be read in any order.

Mirrors ``src/image.rs`` and ``src/io/snappy.rs`` of AVML: a block is in snappy's framing format
(``framing_format.txt``), with its compressed length behind it.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from functools import lru_cache
from typing import Any, BinaryIO

from drgn import FaultError

from ..errors import extra

_CHUNK = struct.Struct("<I")
"""One byte of type, three of length."""
_COMPRESSED, _PLAIN, _SKIPPABLE = 0x00, 0x01, 0x80
_NAME = b"\xff\x06\0\0sNaPpY"
"""The chunk that begins a stream."""
_CHECKSUM = 4
_LARGEST = 1 << 16
"""Bytes that a chunk has at most, uncompressed."""
_LENGTH_BEHIND = 8
_CACHED = 256


class BlockError(ValueError):
    """It is not as snappy's framing format says."""


class Block:
    """The memory in one block.

    :param file: the file, which is kept open
    :param at: offset of the first chunk
    :param length: bytes that the block has, uncompressed
    :raises BlockError: if it is damaged
    :raises ExtraError: if the library for it is not installed
    """

    def __init__(self, file: BinaryIO, at: int, length: int) -> None:
        _library()
        self._file = file
        self._starts: list[int] = []
        self._chunks: list[tuple[int, int, int]] = []
        self.size = 0
        """Bytes, uncompressed, that are in the file: less than *length* if it is cut."""
        end_of_file = os.fstat(file.fileno()).st_size
        while self.size < length:
            head = os.pread(file.fileno(), 14, at)
            if len(head) < _CHUNK.size:
                break
            (word,) = _CHUNK.unpack_from(head)
            kind, count = word & 0xFF, word >> 8
            start, at = at, at + _CHUNK.size + count
            if kind in (_COMPRESSED, _PLAIN):
                if at > end_of_file:
                    break
                size = count - _CHECKSUM if kind == _PLAIN else _uncompressed_size(head[8:])
                if not 0 < size <= min(_LARGEST, length - self.size):
                    raise BlockError
                self._starts.append(self.size)
                self._chunks.append((start, at - start, size))
                self.size += size
            elif kind < _SKIPPABLE:
                raise BlockError
        self.end = at + _LENGTH_BEHIND
        """Offset of what follows."""

    def read(self, offset: int, count: int) -> bytes:
        """Read some of the memory.

        :raises drgn.FaultError: if it is damaged
        """
        number = bisect_right(self._starts, offset) - 1
        skipped = offset - self._starts[number]
        data = _chunk(self._file, *self._chunks[number])[skipped : skipped + count]
        while len(data) < count:
            number += 1
            data += _chunk(self._file, *self._chunks[number])[: count - len(data)]
        return data


@lru_cache(_CACHED)
def _chunk(file: BinaryIO, start: int, count: int, size: int) -> bytes:
    """The memory of one chunk.

    :raises drgn.FaultError: if it is not what its checksum is of
    """
    raw = _NAME + os.pread(file.fileno(), count, start)
    try:
        data = bytes(_library().StreamDecompressor().decompress(raw))
    except Exception as e:  # each version of the library has its own
        raise FaultError(f"damaged in the AVML file ({e})", 0) from None
    if len(data) != size:
        raise FaultError("damaged in the AVML file", 0)
    return data


def _uncompressed_size(head: bytes) -> int:
    """The number that compressed data begin with, seven bits a byte."""
    size = 0
    for place, byte in enumerate(head[:5]):
        size |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return size
    return 0


def _library() -> Any:
    with extra("avml"):
        import snappy
    return snappy
