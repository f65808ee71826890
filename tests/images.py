# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images of memory, as tools write them that know nothing of kernels."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

import snappy

PAGE = 4096
_BLOCK = (16 << 20) // PAGE
"""Pages: AVML's MAX_BLOCK_SIZE."""

Pages = Mapping[int, bytes]
"""By number of page frame, ascending."""


def write_raw(path: Path, pages: Pages, moved: Callable[[int], int] = int) -> None:
    """As pmemsave writes it: every page where its physical address says, zeros between them.

    :param moved: where a page frame is, if that is elsewhere
    """
    with path.open("wb") as file:
        for frame, page in pages.items():
            file.seek(moved(frame) * PAGE)
            file.write(page)


def lime(pages: Pages) -> bytes:
    """As LiME writes it: a range for each run of pages."""
    return b"".join(
        struct.pack("<4sIQQ8x", b"EMiL", 1, first * PAGE, first * PAGE + len(data) - 1) + data
        for first, data in _runs(pages)
    )


def _runs(pages: Pages) -> Iterator[tuple[int, bytes]]:
    for _, run in groupby(enumerate(pages), lambda pair: pair[1] - pair[0]):
        frames = [frame for _, frame in run]
        yield frames[0], b"".join(pages[frame] for frame in frames)


def avml(pages: Pages) -> bytes:
    """As AVML writes it, compressed: blocks of zeros are left out."""
    out = bytearray()
    for number in sorted({frame // _BLOCK for frame in pages}):
        first = number * _BLOCK
        block = b"".join(pages.get(frame, bytes(PAGE)) for frame in range(first, first + _BLOCK))
        body = bytes(snappy.StreamCompressor().compress(block))
        out += struct.pack("<4sIQQ8x", b"AVML", 2, first * PAGE, (first + _BLOCK) * PAGE - 1)
        out += body + struct.pack("<Q", len(body))
    return bytes(out)
