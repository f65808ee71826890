# SPDX-License-Identifier: LGPL-2.1-or-later
"""Damage of some kinds, laid over the memory of an opened dump."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

from drgn import FaultError, Program

from .places import Places

MARK = "zq"
"""In all hostile text, so that it is found in the output."""

TEXTS = (
    b"<script>zq</script>", b"\x1b[31mzq\x1b]0;zq\x07", b"zq\xff\xfe\xc0",
    "zq\u202egnp\u2066".encode(), b"%szq%n{zq}{0}", b"=zq()|'cmd'!A1", b"zq\r\nzq: 1 MiB", b"`zq`|**zq**\\|[zq](http://zq)",
)  # fmt: skip
"""Markup, control characters, invalid UTF-8, right-to-left marks, formats, formulas."""

ABSURD = (
    0, 1, 0xFFFF_FFFF_FFFF_FFFF, 1 << 31, (1 << 31) - 1, 1 << 40, 1 << 63, (1 << 63) - 1,
    0xFFFF_FFFF, 0x8000_0000, 0xFFFF_FFFF_0000_0000, 0x7FFF_FFFF_FFFF_F000, 0xFFFF_FFFF_FFFF_FF80,
)  # fmt: skip

_PAGE = 4096
_TIMES = (1, 1, 1, 2, 3, 5, 10, 40, 200)


class Overlay:
    """Pages over an opened dump; each is written to as often as wanted."""

    def __init__(self, prog: Program) -> None:
        self.prog = prog
        self._pages: dict[int, bytearray | None] = {}

    def read(self, at: int) -> bytearray | None:
        """A page as it is now; None if it is missing."""
        start = at & -_PAGE
        if start not in self._pages:
            try:
                self._pages[start] = bytearray(self.prog.read(start, _PAGE))
            except FaultError:
                return None
            self.prog.add_memory_segment(start, _PAGE, self._reader(start))
        return self._pages[start]

    def write(self, at: int, data: bytes) -> None:
        """Change memory, within one page."""
        page = self.read(at)
        if page is not None:
            part = data[: _PAGE - at % _PAGE]
            page[at % _PAGE : at % _PAGE + len(part)] = part

    def exclude(self, at: int) -> None:
        """Take a page away."""
        if self.read(at) is not None:
            self._pages[at & -_PAGE] = None

    def _reader(self, start: int) -> Callable[[int, int, int, bool], bytes]:
        def read(address: int, count: int, offset: int, physical: bool) -> bytes:
            page = self._pages[start]
            if page is None:
                raise FaultError("hostile: page is missing", address)
            return bytes(page[offset : offset + count])

        return read


def _missing(over: Overlay, places: Places, chance: random.Random) -> None:
    over.exclude(chance.choice(places.pointers + places.words))


def _flip(over: Overlay, places: Places, chance: random.Random) -> None:
    at = chance.choice(places.pointers + places.words) + chance.randrange(8)
    page = over.read(at)
    if page is not None:
        over.write(at, bytes([page[at % _PAGE] ^ 1 << chance.randrange(8)]))


def _redirect(over: Overlay, places: Places, chance: random.Random) -> None:
    to = chance.choice(places.targets) + chance.choice((0, 0, 0, 8, 16, 1, 2, -8))
    over.write(chance.choice(places.pointers), (to % (1 << 64)).to_bytes(8, "little"))


def _absurd(over: Overlay, places: Places, chance: random.Random) -> None:
    size = chance.choice((8, 8, 4, 4, 2, 1))
    at = chance.choice(places.words + places.pointers) + chance.randrange(8 // size) * size
    over.write(at, (chance.choice(ABSURD) % (1 << 8 * size)).to_bytes(size, "little"))


def _text(over: Overlay, places: Places, chance: random.Random) -> None:
    """Write text where there is text; elsewhere it is only damage."""
    for _ in range(50):
        at = chance.choice(places.targets + places.words)
        page = over.read(at)
        if page is not None and _is_text(bytes(page[at % _PAGE : at % _PAGE + 4])):
            over.write(at, chance.choice(TEXTS) + b"\0")
            return


def _is_text(data: bytes) -> bool:
    return len(data) == 4 and all(32 < byte < 127 for byte in data)


def _early(over: Overlay, places: Places, chance: random.Random) -> None:
    """Damage tables that are read while the dump is opened."""
    if places.early:
        at = chance.choice(places.early)
        if chance.random() < 0.3:
            over.exclude(at)
        else:
            over.write(at, chance.choice(ABSURD).to_bytes(8, "little"))


KINDS: dict[str, Callable[[Overlay, Places, random.Random], None]] = {
    "missing": _missing,
    "flipped": _flip,
    "redirected": _redirect,
    "absurd": _absurd,
    "text": _text,
    "early": _early,
}


def lay(prog: Program, places: Places, kind: str, chance: random.Random) -> None:
    """Lay one to hundreds of damages of a kind over a program; ``mixed`` is all kinds."""
    over = Overlay(prog)
    for _ in range(chance.choice(_TIMES)):
        one = chance.choice(list(KINDS)) if kind == "mixed" else kind
        with suppress(FaultError, OverflowError):
            KINDS[one](over, places, chance)
