# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory as hexadecimal bytes and printable characters."""

from __future__ import annotations


def hexdump(address: int, data: bytes) -> str:
    """Lines of 16 bytes each: address, bytes, ASCII."""
    out = []
    for at in range(0, len(data), 16):
        part = data[at : at + 16]
        text = "".join(chr(b) if 32 <= b < 127 else "." for b in part)
        out.append(f"  {address + at:016x}  {part.hex(' '):<47}  {text}\n")
    return "".join(out)
