# SPDX-License-Identifier: LGPL-2.1-or-later
"""Strings from a dump, and numbers of things, as they are shown."""


def printable(raw: bytes) -> str:
    """Decode *raw* as UTF-8 with everything that is not printable escaped.

    A dump is untrusted: its strings can hold terminal escapes, line breaks or
    bidirectional overrides. They come out as ``\\x1b``, ``\\n``, ``\\u202e``.
    Printable ASCII, which is all a real kernel's tags hold, is unchanged.
    """
    text = raw.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def some(count: int, one: str, several: str) -> str:
    """A number of things: ``1 page is``, ``2,000 pages are``."""
    return f"{count:,} {one if count == 1 else several}"


def host_name(name: str) -> str:
    """The name of a machine; empty if it was never given one."""
    return "" if name == "(none)" else name
