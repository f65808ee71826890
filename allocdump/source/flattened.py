# SPDX-License-Identifier: LGPL-2.1-or-later
"""makedumpfile's flattened format: a dump as it went through a pipe, in pieces.

Mirrors ``struct makedumpfile_header`` and ``struct makedumpfile_data_header`` in makedumpfile's
``makedumpfile.h``: after one page, pieces follow that each tell where in the dump they belong.
All numbers are big-endian.
"""

from __future__ import annotations

import io
import os
import struct
from typing import BinaryIO

import numpy as np

MAGIC = b"makedumpfile\0"
_HEADER = 4096
"""MAX_SIZE_MDF_HEADER"""
_LARGEST = 1 << 52
"""Bytes: no dump is larger, and sums of offsets do not overflow."""
_PIECE = struct.Struct(">qq")
"""Offset in the dump and length of the piece; both -1 at the end."""


class Flattened(io.RawIOBase):
    """The dump in a flattened file, as a file of its own to read from.

    :param file: the flattened file
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0
        self.whole = False
        """The mark at the end is there."""
        end = os.fstat(file.fileno()).st_size
        pieces = []
        at = _HEADER
        while at + _PIECE.size <= end:
            file.seek(at)
            offset, length = _PIECE.unpack(file.read(_PIECE.size))
            at += _PIECE.size
            if offset < 0 or length < 0:
                self.whole = True
                break
            if offset > _LARGEST:
                break
            pieces.append((offset, min(length, end - at), at))
            at += length
        table = np.array(pieces, np.int64).reshape(-1, 3)
        self._offset, self._length, self._place = table[:, 0], table[:, 1], table[:, 2]
        self.size = int((self._offset + self._length).max(initial=0))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        start, end = self._position, min(self._position + len(buffer), self.size)
        if start >= end:
            return 0
        data = bytearray(end - start)
        # What comes later replaces what came before: headers are written again at the end.
        inside = (self._offset < end) & (self._offset + self._length > start)
        for i in np.flatnonzero(inside).tolist():
            first = max(start, int(self._offset[i]))
            last = min(end, int(self._offset[i] + self._length[i]))
            self._file.seek(int(self._place[i]) + first - int(self._offset[i]))
            data[first - start : last - start] = self._file.read(last - first)
        buffer[: len(data)] = data
        self._position = end
        return len(data)
