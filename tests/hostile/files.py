# SPDX-License-Identifier: LGPL-2.1-or-later
"""Damage to files: dumps that are cut, or whose headers and tables are not what they were."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .. import images, kdump
from ..dumpdata import core

KINDS = ("cut", "headers")
"""Files that end too soon, and bits and numbers in all that tells where pages are."""

_TIMES = (1, 1, 1, 2, 5, 20)
_NUMBERS = (0, 1, 0xFF, 0xFFF, 0xFFFF_FFFF, 1 << 31, (1 << 31) - 1, 1 << 40, 1 << 63, (1 << 64) - 1)

Region = tuple[int, int]
"""Offsets in a file of the first byte and of that behind the last."""


@dataclass(frozen=True)
class File:
    """A dump in one form, before it is damaged."""

    data: bytes
    regions: tuple[Region, ...]
    """Where headers and tables are; each is hit as often as any other."""

    def damaged(self, kind: str, chance: random.Random) -> bytes:
        """The same with damage."""
        if kind == "cut":
            ends = (len(self.data), *(end for region in self.regions for end in region))
            near = chance.choice(ends) - chance.choice((0, 1, 8, 100))
            return self.data[: chance.choice((chance.randrange(len(self.data)), max(near, 0)))]
        out = bytearray(self.data)
        for _ in range(chance.choice(_TIMES)):
            start, end = chance.choice(self.regions)
            at = chance.randrange(start, end)
            if chance.random() < 0.5:
                out[at] ^= 1 << chance.randrange(8)
            else:
                size = chance.choice((4, 8))
                at = start + (at - start) // size * size
                number = chance.choice(_NUMBERS) % (1 << 8 * size)
                word = number.to_bytes(size, chance.choice(("little", "big")))
                out[at : at + size] = word[: len(out) - at]
        return bytes(out)


def _kdump(data: bytes) -> File:
    fields = struct.unpack_from("<IiiII", data, 424)
    block, sub_blocks, bitmap_blocks = fields[1:4]
    bitmaps = block * (1 + sub_blocks)
    pages = bitmaps + block * bitmap_blocks
    middle = (bitmaps + pages) // 2
    extents = struct.unpack_from("<6Q", data, block + 32)
    notes = [(at, at + size) for at, size in zip(extents[::2], extents[1::2], strict=True) if size]
    table = 24 * int.from_bytes(data[middle:pages], "little").bit_count()
    return File(
        data,
        (
            (0, 32), (424, 464), (424, 444), (block, block + 104), *notes, (bitmaps, middle),
            (middle, pages), (pages, pages + table), (pages, pages + 240),
            (pages + table, len(data)),
        ),
    )  # fmt: skip


def _elf(data: bytes) -> File:
    (count,) = struct.unpack_from("<H", data, 56)
    heads = 64 + 56 * count
    at, size = struct.unpack_from("<8xQ16xQ", data, 64)
    return File(data, ((0, 64), (64, 120), (64, heads), (at, at + 400), (at, at + size)))


def _flattened(data: bytes) -> File:
    at, heads = 4096, []
    while at + 16 <= len(data):
        heads.append((at, at + 16))
        at += 16 + max(0, struct.unpack_from(">8xq", data, at)[0])
    return File(data, ((0, 64), *heads))


def _ranges(data: bytes) -> File:
    """Of LiME and AVML: headers follow one another, and begin alike."""
    heads, at = [], 0
    while at >= 0:
        heads.append((at, at + 48))
        at = data.find(data[:8], at + 32)
    return File(data, tuple(heads))


def _uncut(dump: kdump.Dump) -> bytes:
    return kdump.kdump(dump, "zlib")


_FORMS: dict[str, Callable[[kdump.Dump], File]] = {
    "kdump": lambda dump: _kdump(_uncut(dump)),
    "elf": lambda dump: _elf(kdump.elf(dump)),
    "flattened": lambda dump: _flattened(kdump.flattened(_uncut(dump))),
    "lime": lambda dump: _ranges(images.lime(dump.pages)),
    "avml": lambda dump: _ranges(images.avml(dump.pages)),
}


def form(seed: int) -> str:
    """The form of the file of a seed."""
    return random.Random(-1 - seed).choice(list(_FORMS))


@cache
def file(folder: str, form: str) -> File:
    """A dump in a form; in that of its own if Python cannot take it apart, as with lzo."""
    path: Path = core(folder)
    if struct.unpack_from("<I", path.read_bytes()[:428], 424)[0] & 2:
        return _kdump(path.read_bytes())
    return _FORMS[form](kdump.read(path))
