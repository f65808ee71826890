# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory as hexadecimal bytes and printable characters."""

from __future__ import annotations

_LONGEST = 85
"""Characters of a line of 16 bytes."""


def hexdump(address: int, data: bytes, width: int | None = None) -> str:
    """Lines of 16 bytes each: address, bytes, ASCII; of 8 if *width* has no room for that."""
    out, size = [], 16 if width is None or width >= _LONGEST else 8
    for at in range(0, len(data), size):
        part = data[at : at + size]
        text = "".join(chr(b) if 32 <= b < 127 else "." for b in part)
        out.append(f"  {address + at:016x}  {part.hex(' '):<{3 * size - 1}}  {text}\n")
    return "".join(out)
