# SPDX-License-Identifier: LGPL-2.1-or-later
"""Facts of a release: which members of structures it has, where, and of what types.

They are in ``docs/layouts/*.toml``. ``python -m tests.releases`` writes such a file from a
kernel's own types.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocdump.kernel.layouts import Layout

FOLDER = Path(__file__).parent.parent.parent / "docs" / "layouts"

WANTED: dict[str, str] = {
    "typedef memdesc_flags_t": "f",
    "struct page": "flags compound_head compound_info lru mapping index private page_type"
    " _refcount memcg_data",
    "struct slab": "slab_cache next freelist inuse objects frozen stride obj_exts_in_object"
    " obj_exts_needs_objcg obj_exts",
    "struct slabobj_ext": "objcg ref _objcg _ctref",
    "struct kmem_cache": "cpu_slab cpu_sheaves sheaf_capacity flags size object_size offset"
    " refcount inuse red_left_pad name list random node per_node",
    "struct kmem_cache_cpu": "freelist slab partial",
    "struct kmem_cache_node": "barn",
    "struct kmem_cache_per_node_ptrs": "barn",
    "struct node_barn": "sheaves_full sheaves_empty",
    "struct slab_sheaf": "barn_list size cache objects",
    "struct slub_percpu_sheaves": "main spare rcu_free",
    "struct mem_section": "section_mem_map page_ext",
    "struct pcpu_chunk": "list bound_map base_addr alloc_map start_offset end_offset nr_pages"
    " obj_exts populated",
    "struct pcpuobj_ext": "cgroup tag",
    "struct alloc_tag": "ct counters",
    "struct alloc_tag_counters": "bytes calls",
    "struct codetag": "flags lineno modname function filename",
    "struct codetag_type": "link count mod_idr desc next_mod_seq",
    "struct codetag_type_desc": "section tag_size module_load",
    "struct codetag_module": "mod range",
    "struct codetag_range": "start stop",
    "struct alloc_tag_module_section": "start_addr end_addr size",
    "struct alloc_tag_kernel_section": "first_tag count",
    "struct page_ext_operations": "offset size",
    "struct idr": "idr_rt",
    "struct xarray": "xa_head",
    "struct vmap_area": "va_start va_end rb_node list vm",
    "struct vmap_node": "busy lazy purge_list",
    "struct rb_list": "root head",
    "struct rb_root": "rb_node",
    "struct rb_node": "rb_right rb_left",
    "struct vm_struct": "addr size flags pages nr_pages caller",
    "struct zone": "zone_pgdat zone_start_pfn spanned_pages present_pages name per_cpu_pageset",
    "struct per_cpu_pages": "count lists",
    "struct pglist_data": "node_zones node_id",
    "struct list_head": "next prev",
    "struct pipe_inode_info": "tmp_page prealloc",
    "struct shmem_sb_info": "free_ispace",
    "struct vm_stack": "stack_vm_area",
    "struct mem_cgroup_per_node": "objcg",
    "struct module": "list name mem",
    "struct module_memory": "base size",
    "struct mod_tree_root": "addr_min addr_max",
    "struct xa_node": "shift slots",
    "struct maple_tree": "ma_root",
    "struct maple_node": "mr64",
    "struct maple_range_64": "pivot slot meta",
    "struct maple_metadata": "end",
    "struct obj_cgroup": "memcg",
    "struct mem_cgroup": "css",
    "struct cgroup_subsys_state": "cgroup ss flags",
    "struct cgroup": "kn",
    "struct kernfs_node": "__parent parent name",
    "struct static_key": "enabled",
    "struct static_key_true": "key",
    "struct static_key_false": "key",
    "typedef atomic_t": "counter",
    "enum pagetype": "",
    "enum pageflags": "",
    "enum _slab_flag_bits": "",
    "enum objext_flags": "",
    "enum kmalloc_cache_type": "",
    "enum mod_mem_type": "",
}
"""Types that readers of reports, pages, objects and vmalloc areas ask for, and their members."""

PROFILING = frozenset(
    {
        "struct slabobj_ext",
        "struct mem_section",
        "struct pcpuobj_ext",
        "struct alloc_tag",
        "struct alloc_tag_counters",
        "struct codetag",
        "struct codetag_type",
        "struct codetag_type_desc",
        "struct codetag_module",
        "struct codetag_range",
        "struct alloc_tag_module_section",
        "struct alloc_tag_kernel_section",
        "struct page_ext_operations",
    }
)
"""Those of them that CONFIG_MEM_ALLOC_PROFILING adds, or adds members to."""

CONSTANTS = ("SECTION_MAP_LAST_BIT", "N_ONLINE", "CSS_ONLINE")
"""Enumerators of types without a name."""


@dataclass(frozen=True)
class Release:
    """A release of Linux, by its facts."""

    name: str
    """``6.18``"""
    sources: list[str]
    """Where the facts are from."""
    types: dict[str, dict[str, Any]]
    """``struct page``: its size, and members by name, as ``"OFFSET TYPE"``."""
    constants: dict[str, int]

    @classmethod
    def read(cls, path: Path) -> Release:
        """Read a file; one that has a ``base`` adds to that."""
        raw = tomllib.loads(path.read_text())
        base = cls.read(path.with_name(f"{raw['base']}.toml")) if "base" in raw else None
        types: dict[str, dict[str, Any]] = dict(base.types) if base else {}
        for key in ("struct", "union", "typedef", "enum"):
            types |= {f"{key} {tag}": facts for tag, facts in raw.get(key, {}).items()}
        for gone in raw.get("without", []):
            del types[gone]
        constants = (base.constants if base else {}) | raw.get("constants", {})
        return cls(raw["release"], raw["sources"], types, constants)

    @property
    def number(self) -> tuple[int, ...]:
        """``(6, 18)``"""
        return number(self.name)

    def variant(self, layout: type[Layout]) -> Layout:
        """The variant that it has by the table: the newest that was there already.

        Those without a first release are of configurations, or of kernels that have no such thing.
        """
        there = (v for v in layout if v.value.since and number(v.value.since) <= self.number)
        return next(there, None) or next(v for v in layout if not v.value.since)


def number(release: str) -> tuple[int, ...]:
    """A release, to be compared: ``(6, 18)``."""
    return tuple(map(int, release.split(".")))


def releases() -> list[Release]:
    """All releases that there are facts of, oldest first."""
    found = [Release.read(path) for path in FOLDER.glob("*.toml")]
    return sorted(found, key=lambda release: release.number)
