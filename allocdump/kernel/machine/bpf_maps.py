# SPDX-License-Identifier: LGPL-2.1-or-later
"""BPF maps: what tells one from another. Mirrors ``struct bpf_map`` in ``include/linux/bpf.h``."""

from __future__ import annotations

from contextlib import suppress

from drgn import Object, Program

from ...text import printable
from ..walk import ReadErrors

MAP_KIND = "bpf_map"
"""Kind of the open files that are maps, by ``bpf_map_fops``."""
_PREFIX = "BPF_MAP_TYPE_"


def map_name(prog: Program, address: int) -> str:
    """``sessions (hash, at most 100,000 of 408 B)``: the name that its maker gave it, its type,
    how many entries it may have, and bytes of a key and a value; empty if it is unreadable."""
    with suppress(*ReadErrors):
        entry = Object(prog, "struct bpf_map *", address)[0].read_()
        name = printable(entry.name.string_()) or "without a name"
        size = entry.key_size.value_() + entry.value_size.value_()
        return f"{name} ({_type(entry)}, at most {entry.max_entries.value_():,} of {size:,} B)"
    return ""


def _type(entry: Object) -> str:
    """``hash``; of two names of one type, the newer one comes last."""
    number = entry.map_type.value_()
    all_types = entry.map_type.type_.enumerators or ()
    names = [e.name for e in all_types if e.value == number and e.name.startswith(_PREFIX)]
    return names[-1].removeprefix(_PREFIX).lower() if names else f"type {number}"
