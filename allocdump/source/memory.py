# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bulk reads from a program whose memory has holes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from drgn import FaultError, Program

from ..arch.base import page_size
from ..arrays import U64, Bool

_FEW = 32
_MAX_RUN = 2 << 20
"""Longer reads are not faster, and take more memory."""
_GAP = 64 << 10
"""Bytes that are read along, rather than in two reads."""
_MOST = 1 << 31
"""No structure of a kernel is larger (the log's text can be as large): such a size is damaged."""

U8 = npt.NDArray[np.uint8]


@dataclass
class Holes:
    """Unreadable memory, counted, with the first reason met."""

    pages: int = 0
    reason: str = ""
    first: int | None = None
    """Address of the first page that could not be read."""

    def add(self, address: int, error: Exception) -> None:
        if self.first is None:
            self.first, self.reason = address, str(error)
        self.pages += 1


@dataclass
class Memory:
    """Reads of a program's memory, in long runs, with a count of the holes met.

    What cannot be read comes back as zeros and is marked so; nothing here raises
    for a hole.
    """

    prog: Program
    holes: Holes = field(default_factory=Holes)

    @cached_property
    def page(self) -> int:
        """Bytes of a page: what is missing, is missing by pages."""
        return page_size(self.prog).bytes

    def read(self, address: int, size: int) -> tuple[U8, Bool]:
        """Read *size* bytes at *address*.

        :return: the bytes, shape ``(size,)``, read-only, and for each byte whether it was read
        :raises ValueError: if the size is more than any structure has
        """
        if not 0 <= size <= _MOST:
            raise ValueError(f"a size of {size:,} bytes is damaged")
        return self._read(address, size, self.holes)

    def _read(self, address: int, size: int, holes: Holes) -> tuple[U8, Bool]:
        try:
            whole = np.frombuffer(self.prog.read(address, size), np.uint8)
            return whole, np.broadcast_to(np.True_, size)
        except (FaultError, OverflowError, ValueError):
            pass  # in pieces, then
        data = np.zeros(size, np.uint8)
        ok = np.zeros(size, np.bool_)
        for start, chunk in self._chunks(address, size, holes):
            at = start - address
            data[at : at + len(chunk)] = np.frombuffer(chunk, np.uint8)
            ok[at : at + len(chunk)] = True
        return data, ok

    def _chunks(self, address: int, size: int, holes: Holes) -> Iterator[tuple[int, bytes]]:
        """The readable pieces, found by halving: a fault may name the start of the read
        instead of the page that is missing.
        """
        page = self.page
        todo = [(address, min(address + size, 1 << 64))]
        while todo:
            start, end = todo.pop()
            try:
                yield start, self.prog.read(start, end - start)
            except (FaultError, OverflowError, ValueError) as e:
                pages = (end - 1) // page - start // page
                if pages == 0:
                    holes.add(start, e)
                elif end > start:
                    middle = (start // page + (pages + 1) // 2) * page
                    todo += [(middle, end), (start, middle)]

    def _missed(self, addresses: U64, holes: Holes) -> None:
        """Count the pages of *addresses*, without those between them."""
        if len(addresses):
            self.holes.pages += len(np.unique(addresses // np.uint64(self.page)))
            if self.holes.first is None:
                self.holes.first, self.holes.reason = int(addresses.min()), holes.reason

    def words(self, addresses: U64, gap: int = _GAP) -> tuple[U64, Bool]:
        """Read the 64-bit word at each of *addresses*; unaligned ones are not read.

        :param addresses: shape (n,), any order, duplicates allowed
        :param gap: addresses no further apart than this share a run, in bytes
        :return: the words, 0 where unreadable, and whether each was read: shape (n,)
        """
        if len(addresses) <= _FEW:
            return self._few_words(addresses.tolist())
        out = np.zeros(len(addresses), np.uint64)
        ok = addresses % 8 == 0
        order = np.flatnonzero(ok)
        if len(order) and (np.diff(addresses[order].view(np.int64)) < 0).any():
            order = order[np.argsort(addresses[order], kind="stable")]
        ascending = addresses[order]
        for run in runs(ascending, gap, _MAX_RUN):
            start = int(ascending[run.start])
            length = int(ascending[run.stop - 1]) - start + 8
            holes = Holes()
            data, readable = self._read(start, length, holes)
            where = ((ascending[run] - np.uint64(start)) >> np.uint64(3)).astype(np.int64)
            out[order[run]] = data.view(np.uint64)[where]
            ok[order[run]] = readable[::8][where]
            if holes.pages:
                self._missed(ascending[run][~readable[::8][where]], holes)
        return out, ok

    def records(
        self, addresses: U64, dtype: np.dtype[np.void]
    ) -> tuple[npt.NDArray[np.void], Bool]:
        """Read a structure at each of *addresses*, as :meth:`words` reads words.

        :param dtype: of whole words
        :return: the structures, zeros where unreadable, and whether each was read whole
        """
        count = dtype.itemsize // 8
        places = addresses[:, None] + np.arange(count, dtype=np.uint64) * np.uint64(8)
        words, ok = self.words(places.ravel())
        return words.view(dtype), np.asarray(ok.reshape(-1, count).all(axis=1))

    def u32(self, addresses: U64) -> tuple[npt.NDArray[np.uint32], Bool]:
        """Read the 32-bit word at each of *addresses*, as :meth:`words` reads those of 64 bits."""
        words, ok = self.words(addresses & ~np.uint64(7))
        shift = (addresses & np.uint64(4)) << np.uint64(3)
        ok = ok & (addresses % 4 == 0)
        return np.where(ok, words >> shift & np.uint64(0xFFFF_FFFF), 0).astype(np.uint32), ok

    def _few_words(self, addresses: list[int]) -> tuple[U64, Bool]:
        """For a few words, arranging runs takes longer than reading."""
        out, ok = [0] * len(addresses), [True] * len(addresses)
        for i, address in enumerate(addresses):
            try:
                if address % 8:
                    ok[i] = False
                else:
                    out[i] = self.prog.read_u64(address)
            except FaultError as e:
                ok[i] = False
                self.holes.add(address, e)
        return np.array(out, np.uint64), np.array(ok, np.bool_)

    def strings(self, pointers: U64, limit: int = 1024) -> dict[int, bytes | None]:
        """C strings at the distinct *pointers*; None where one cannot be read.

        :param limit: longer strings are cut here: no file or function name is
        """
        out: dict[int, bytes | None] = {}
        unique = np.unique(pointers)
        for run in runs(unique, self.page):
            start = int(unique[run.start])
            # Strings end soon: up to the end of the last one's page, and more if need be.
            length = (int(unique[run.stop - 1]) // self.page + 1) * self.page - start
            data, ok = self.read(start, length)
            raw = data.tobytes()
            for pointer in unique[run].tolist():
                at = pointer - start
                end = raw.find(b"\0", at, at + limit)
                if end < 0:
                    out[pointer] = self._long_string(pointer, limit)
                elif ok[at : end + 1].all():
                    out[pointer] = raw[at:end]
                else:
                    out[pointer] = None
        return out

    def _long_string(self, pointer: int, limit: int) -> bytes | None:
        data, ok = self.read(pointer, limit)
        raw = data.tobytes()
        end = raw.find(b"\0")
        if end < 0:
            return raw if ok.all() else None
        return raw[:end] if ok[: end + 1].all() else None


def each_whole(ok: Bool, size: int) -> Bool:
    """Mark the records of *size* bytes that were read whole: shape (len(ok) / size,)."""
    if ok.strides == (0,):
        return np.ones(len(ok) // size, np.bool_)
    return np.asarray(ok.reshape(-1, size).all(axis=1))


def runs(ascending: U64, gap: int, longest: int | None = None) -> Iterator[slice]:
    """Slices of an ascending array whose neighbours are at most *gap* apart.

    :param longest: cut runs that span more than this, in bytes
    """
    if not len(ascending):
        return
    cut = np.diff(ascending) > gap
    if longest is not None:
        chunk = ascending // np.uint64(longest)
        cut |= chunk[1:] != chunk[:-1]
    cuts = (np.flatnonzero(cut) + 1).tolist()
    yield from map(slice, [0, *cuts], [*cuts, len(ascending)])
