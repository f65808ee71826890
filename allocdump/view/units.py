# SPDX-License-Identifier: LGPL-2.1-or-later
"""Numbers for people."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size(value: float, exact: bool = False) -> str:
    """Bytes as ``1.23 MiB`` with three digits, or exactly as ``1,289,748``."""
    if exact:
        return f"{round(value):,}"
    scaled, unit = abs(value), 0
    # What would round to 1000 or more takes the next unit: no "1024 KiB".
    while scaled >= 999.5 and unit < len(_UNITS) - 1:
        scaled /= 1024
        unit += 1
    digits = 0 if unit == 0 or scaled >= 99.95 else 1 if scaled >= 9.995 else 2
    return f"{'-' if value < 0 else ''}{scaled:.{digits}f} {_UNITS[unit]}"


def growth(value: float, exact: bool = False) -> str:
    """A size with its sign: ``+1.23 MiB``."""
    return f"{'+' if value > 0 else ''}{size(value, exact)}"


def share(part: float, whole: float) -> str:
    """A percentage: ``12.3%``."""
    return f"{100 * part / whole:.1f}%" if whole > 0 else "-"


def count(value: int) -> str:
    """``206,615``"""
    return f"{value:,}"


def more(value: int) -> str:
    """A count with its sign: ``+206,615``"""
    return f"{value:+,}" if value else "0"


def plural(number: int, noun: str) -> str:
    """``1 site``, ``2,015 sites``"""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """``12.3 s``, ``5 min 4 s``, ``3 h 12 min``, ``2 d 4 h``"""
    if seconds < 60:
        return f"{seconds:.1f} s"
    left = int(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, length)
        if number or parts:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2])
