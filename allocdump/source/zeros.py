# SPDX-License-Identifier: LGPL-2.1-or-later
"""Page frames of zeros: a kdump holds one page of them, to which all their descriptors refer.

On large machines most memory in use was never written to, and nothing has to be read to know that
no pointer is in it. Mirrors ``write_kdump_pages()`` of makedumpfile, whose ``pd_zero`` all pages of
zeros share at levels with DL_EXCLUDE_ZERO.
"""

from __future__ import annotations

import io
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from drgn import FaultError, Program

from ..arrays import Bool
from .core import EXCLUDES_ZEROS, Core, dumped
from .flattened import Flattened

_AT_ONCE = 1 << 20
"""Page frames whose descriptors are looked at together: 24 MiB of them."""
_CANDIDATES = 4
"""Data that pages share most may be other than zeros, if something else than makedumpfile wrote
the dump."""

# struct page_desc of diskdump_mod.h: where the data is, its size and flags; page_flags is always 0.
_DESCRIPTOR = np.dtype([("offset", "<i8"), ("rest", "<u8"), ("page_flags", "<u8")])


@dataclass
class ZeroFrames:
    """The page frames of zeros, one bit each, the first in the lowest: of 64 TiB, 2 GiB."""

    bits: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return int(np.bitwise_count(self.bits).sum(dtype=np.int64))

    def among(self, first: int, last: int) -> Bool:
        """Mark those of *first* to *last* - 1: shape (last - first,)."""
        out = np.zeros(last - first, np.bool_)
        start = first >> 3
        found = np.unpackbits(self.bits[start : (last + 7) >> 3], bitorder="little")
        found = found[first - (start << 3) :][: len(out)]
        out[: len(found)] = found
        return out


def zero_frames(core: Core, prog: Program, page: int) -> ZeroFrames:
    """Find the page frames of zeros, by the descriptors of a kdump; other dumps tell of none.

    :param page: bytes of a page: where the dump's frames are other pieces, none are known
    """
    none = ZeroFrames(np.zeros(0, np.uint8))
    if not (core.dump_level or 0) & EXCLUDES_ZEROS or core.frame_bytes != page:
        return none
    with suppress(OSError), Path(core.path).open("rb") as file:
        length = min(core.bitmap[1], os.fstat(file.fileno()).st_size)
        inner = io.BufferedReader(Flattened(file)) if core.flattened else file
        inner.seek(sum(core.bitmap))
        return _read(core, prog, inner, np.zeros(length, np.uint8))
    return none


def _read(core: Core, prog: Program, file: BinaryIO, bits: npt.NDArray[np.uint8]) -> ZeroFrames:
    zeros: np.void | None = None
    for frames in dumped(core, _AT_ONCE):
        raw = file.read(len(frames) * _DESCRIPTOR.itemsize)
        if len(raw) < len(frames) * _DESCRIPTOR.itemsize:
            break
        descriptors = np.frombuffer(raw, _DESCRIPTOR)
        if zeros is None:
            zeros = _shared(core, prog, frames, descriptors)
        if zeros is not None:
            same = (descriptors["offset"] == zeros["offset"]) & (
                descriptors["rest"] == zeros["rest"]
            )
            start = int(frames[0]) // _AT_ONCE * _AT_ONCE
            marks = np.zeros(min(_AT_ONCE, len(bits) * 8 - start), np.bool_)
            marks[frames[same] - start] = True
            bits[start >> 3 : (start + len(marks)) >> 3] = np.packbits(marks, bitorder="little")
    return ZeroFrames(bits)


def _shared(
    core: Core, prog: Program, frames: npt.NDArray[np.intp], descriptors: npt.NDArray[np.void]
) -> np.void | None:
    """The descriptor that many share whose data is zeros, as drgn reads it; None if none is."""
    _, first, count = np.unique(descriptors["offset"], return_index=True, return_counts=True)
    for i in np.argsort(count)[::-1][:_CANDIDATES].tolist():
        at, size = int(frames[first[i]]) * core.frame_bytes, core.frame_bytes
        with suppress(FaultError):
            if count[i] > 1 and not any(prog.read(at, size, physical=True)):
                found: np.void = descriptors[first[i]]
                return found
    return None
