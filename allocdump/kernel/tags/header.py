# SPDX-License-Identifier: LGPL-2.1-or-later
"""The text of /proc/allocinfo: its header in a dump, and saved copies.

Mirrors ``print_allocinfo_header()`` and ``alloc_tag_to_text()`` in ``lib/alloc_tag.c``
(``mm/alloc_tag.c`` since 7.3), and ``codetag_to_text()`` in ``lib/codetag.c``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drgn import Program

from ...source.memory import Memory
from ...text import printable
from .sites import Site, Sites, fits

_VERSION = re.compile(rb"allocinfo - version: [0-9.]{1,16}\n(?=\0)")
_COLUMNS = re.compile(rb"#     <size>  <calls> <tag info>\n(?=\0)")
_MAX_RODATA = 1 << 30


def allocinfo_header(prog: Program) -> str | None:
    """Find the header's lines in the kernel's read-only data; None if they are not there."""
    try:
        start = prog.symbol("__start_rodata").address
        size = prog.symbol("__end_rodata").address - start
    except LookupError:
        return None
    if not 0 < size <= _MAX_RODATA:
        return None
    data = Memory(prog).read(start, size)[0].tobytes()
    version, columns = _VERSION.search(data), _COLUMNS.search(data)
    if not version or not columns:
        return None
    return (version[0] + columns[0]).decode("ascii")


_SAVED_VERSION = re.compile(rb"allocinfo - version: (\S{1,16})\s*")
# Version 2.0 added the mark. The kernel ends each line with a blank; editors take it away.
_RECORD = re.compile(
    rb"\s*(-?\d{1,20})\s+(\d{1,20}) (.+):(\d{1,10})(?: \[([^\[\]]*)\])?"
    rb" func:(\S+)( accurate:no)?\s*"
)
_MAX_LINE = 4 << 10

KNOWN_VERSIONS = ("1.0", "2.0")


@dataclass
class SavedListing:
    """A saved /proc/allocinfo."""

    version: str
    """Of the format; empty if the header was not saved."""
    sites: Sites
    unreadable: int
    """Lines that are not records."""


def is_listing(head: bytes) -> bool:
    """Tell if a file that starts like this was read from /proc/allocinfo."""
    lines = [line for line in head.splitlines() if line.strip() and not line.startswith(b"#")]
    return bool(lines) and bool(_SAVED_VERSION.fullmatch(lines[0]) or _record(lines[0]))


def parse_listing(text: bytes) -> SavedListing:
    """Read a saved /proc/allocinfo, in whatever order, with or without its header."""
    out = SavedListing("", Sites.of([]), 0)
    rows = []
    lines = text.split(b"\n")
    if lines[-1] and not lines[-1].endswith(b" "):
        # The file ends within a line. What is there may look whole and be cut all the same.
        lines.pop()
        out.unreadable += 1
    for line in lines:
        if not line.strip() or line.startswith(b"#"):
            continue
        if version := _SAVED_VERSION.fullmatch(line):
            out.version = printable(version[1])
        elif site := _record(line):
            rows.append(site)
        else:
            out.unreadable += 1
    out.sites = Sites.of(rows)
    return out


def _record(line: bytes) -> Site | None:
    found = _RECORD.fullmatch(line) if len(line) <= _MAX_LINE else None
    if not found:
        return None
    size, calls, number = int(found[1]), int(found[2]), int(found[4])
    if not fits(line=number, bytes=size, calls=calls):
        return None
    return Site(
        file=printable(found[3]),
        line=number,
        function=printable(found[6]),
        module=printable(found[5] or b""),
        bytes=size,
        calls=calls,
        inaccurate=bool(found[7]),
    )
