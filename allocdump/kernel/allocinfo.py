# SPDX-License-Identifier: LGPL-2.1-or-later
"""The header that this kernel prints above /proc/allocinfo.

Mirrors ``print_allocinfo_header()`` in ``lib/alloc_tag.c`` (``mm/alloc_tag.c`` since 7.3).
"""

from __future__ import annotations

import re

from drgn import Program

from ..dump.memory import Memory

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
