# SPDX-License-Identifier: LGPL-2.1-or-later
"""Places of metadata in a dump, found by following pointers at random from known roots."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field

from drgn import FaultError, Program

ROOTS = (
    "alloc_tag_cttype", "__start_alloc_tags", "modules", "mod_tree", "module_tags",
    "slab_caches", "mem_section", "node_data", "contig_page_data", "pcpu_chunk_lists",
    "pcpu_first_chunk", "pcpu_unit_offsets", "page_ext_size", "page_ext_ops",
    "page_alloc_tagging_ops", "init_task", "init_pid_ns", "vmap_nodes", "vmap_area_list",
    "vmap_area_root", "prb", "printk_rb_static", "root_mem_cgroup", "cgroup_roots",
    "mem_cgroup_idr", "swap_info", "super_blocks", "__per_cpu_offset", "__cpu_possible_mask",
    "__cpu_online_mask", "__num_online_cpus", "runqueues", "iomem_resource", "vm_node_stat",
    "vm_zone_stat", "vm_event_states", "init_mm", "init_top_pgt", "swapper_pg_dir",
    "page_offset_base", "vmemmap_base", "tk_core", "jiffies_64", "totalram_pages",
    "_totalram_pages", "crashk_res", "saved_command_line", "init_uts_ns", "tainted_mask",
)  # fmt: skip
"""Variables that allocdump reads, or that lead to what it reads; not every kernel has each."""

EARLY_ROOTS = (
    "__start_BTF", "kallsyms_names", "kallsyms_offsets", "kallsyms_token_table",
    "kallsyms_token_index", "kallsyms_num_syms", "kallsyms_markers", "vmcoreinfo_data",
)  # fmt: skip
"""Tables that are read while a dump is opened."""

_WORD = 8
_REACH = 640
"""Bytes behind an address in which pointers are looked for: most structures are smaller."""
_STEPS = 12
_WALKS = 60
_PAGE = 4096


@dataclass
class Places:
    """Addresses of words of metadata."""

    pointers: list[int] = field(default_factory=list)
    """Words that hold pointers."""
    words: list[int] = field(default_factory=list)
    """Words beside them: sizes, counts, flags, text."""
    targets: list[int] = field(default_factory=list)
    """Values of the pointers: what another pointer may be redirected to."""
    early: list[int] = field(default_factory=list)
    """Words of tables that are read while the dump is opened."""


def find_places(prog: Program) -> Places:
    """Walk from each root; the same dump gives the same places."""
    chance, out = random.Random(1), Places()
    for name in ROOTS:
        start = _address(prog, name)
        if start is None:
            continue
        for _ in range(_WALKS):
            _walk(prog, start, chance, out)
    for name in EARLY_ROOTS:
        start = _address(prog, name)
        if start is not None:
            out.early += [start + _WORD * chance.randrange(1 << 13) for _ in range(_WALKS)]
    return out


def _address(prog: Program, name: str) -> int | None:
    try:
        return int(prog.symbol(name).address) & -_WORD
    except LookupError:
        return None


def _walk(prog: Program, at: int, chance: random.Random, out: Places) -> None:
    for _ in range(_STEPS):
        reach = min(_REACH, _PAGE - at % _PAGE + _PAGE)
        try:
            words = struct.unpack(f"<{reach // _WORD}Q", prog.read(at, reach // _WORD * _WORD))
        except (FaultError, OverflowError, ValueError):
            return
        out.words.append(at + _WORD * chance.randrange(len(words)))
        pointers = [i for i, word in enumerate(words) if _may_be_pointer(word)]
        if not pointers:
            return
        which = chance.choice(pointers)
        out.pointers.append(at + _WORD * which)
        out.targets.append(words[which])
        at = words[which] & -_WORD


def _may_be_pointer(word: int) -> bool:
    """Tell if a word could be a kernel address of the upper half that is no error value."""
    return 0xFF00_0000_0000_0000 <= word < 0xFFFF_FFFF_FFFF_F000
