# SPDX-License-Identifier: LGPL-2.1-or-later
"""Global variables without DWARF: address from kallsyms, type from this table.

BTF knows the types of per-CPU variables but not of other globals, so those that
allocdump and drgn's helpers for the same structures read are listed here.
"""

from __future__ import annotations

from drgn import FindObjectFlags, Object, Program, Symbol, Type, sizeof

from ..arch.x86_64 import GLOBALS as X86_GLOBALS
from .btf_types import BtfTypes

# A type ending in [] gets its length from the size of the symbol.
TYPES = {
    # lib/codetag.c, lib/alloc_tag.c (mm/alloc_tag.c since 7.3)
    "codetag_types": "struct list_head",
    "alloc_tag_cttype": "struct codetag_type *",
    "module_tags": "struct alloc_tag_module_section",
    "kernel_tags": "struct alloc_tag_kernel_section",
    "mod_area_mt": "struct maple_tree",
    "mem_alloc_profiling_key": "struct static_key",
    "mem_profiling_compressed": "struct static_key",
    "mem_profiling_support": "_Bool",
    "alloc_tag_ref_mask": "unsigned long",
    "alloc_tag_ref_offs": "int",
    "page_alloc_tagging_ops": "struct page_ext_operations",
    "page_ext_size": "unsigned long",
    # mm/page_owner.c, mm/slub.c
    "page_owner_ops": "struct page_ext_operations",
    "page_owner_inited": "struct static_key",
    "slub_debug_enabled": "struct static_key",
    "__highest_present_section_nr": "unsigned long",
    # kernel/module/main.c
    "modules": "struct list_head",
    "module_kset": "struct kset *",
    "mod_tree": "struct mod_tree_root",
    # kernel/printk/printk.c
    "prb": "struct printk_ringbuffer *",
    "clear_seq": "struct latched_seq",
    # SMP, tasks, time
    "__per_cpu_offset": "unsigned long []",
    "__cpu_possible_mask": "struct cpumask",
    "__cpu_present_mask": "struct cpumask",
    "__cpu_online_mask": "struct cpumask",
    "nr_cpu_ids": "unsigned int",
    "init_task": "struct task_struct",
    "init_mm": "struct mm_struct",
    "init_pid_ns": "struct pid_namespace",
    "init_uts_ns": "struct uts_namespace",
    "root_task_group": "struct task_group",
    "panic_cpu": "atomic_t",
    "crash_notes": "note_buf_t *",
    "crashing_cpu": "int",
    "tainted_mask": "unsigned long",
    "taint_flags": "struct taint_flag []",
    "saved_command_line": "char *",
    "jiffies": "volatile unsigned long",
    # memory
    "slab_caches": "struct list_head",
    "mem_section": "struct mem_section **",
    "hstates": "struct hstate []",
    "hugetlb_max_hstate": "int",
    "cma_areas": "struct cma []",
    "cma_area_count": "unsigned int",
    "totalcma_pages": "unsigned long",
    "ksm_pages_shared": "unsigned long",
    "num_poisoned_pages": "atomic_long_t",
    "page_pools": "struct xarray",
    "node_data": "struct pglist_data *[]",
    "contig_page_data": "struct pglist_data",
    "node_states": "nodemask_t []",
    "nr_node_ids": "unsigned int",
    "vm_node_stat": "atomic_long_t []",
    "vm_zone_stat": "atomic_long_t []",
    "_totalram_pages": "atomic_long_t",
    "nr_vmalloc_pages": "atomic_long_t",
    "total_swap_pages": "long",
    "nr_swap_pages": "atomic_long_t",
    "swap_info": "struct swap_info_struct *[]",
    "nr_swapfiles": "unsigned int",
    "root_mem_cgroup": "struct mem_cgroup *",
    "super_blocks": "struct list_head",
    "vmap_area_list": "struct list_head",
    "vmap_area_root": "struct rb_root",
    "free_vmap_area_list": "struct list_head",
    "purge_vmap_area_list": "struct list_head",
    "vmap_nodes": "struct vmap_node *",
    "nr_vmap_nodes": "unsigned int",
    "vmap_zone_size": "unsigned int",
    "slab_obj_ext_has_codetag_key": "struct static_key",
    "pcpu_chunk_lists": "struct list_head *",
    "pcpu_nr_slots": "int",
    "pcpu_reserved_chunk": "struct pcpu_chunk *",
    "iomem_resource": "struct resource",
    "kexec_image": "struct kimage *",
    "kexec_crash_image": "struct kimage *",
    "crashk_res": "struct resource",
    "crashk_low_res": "struct resource",
    "kclist_head": "struct list_head",
    "min_low_pfn": "unsigned long",
    "max_low_pfn": "unsigned long",
    "max_pfn": "unsigned long",
    "high_memory": "void *",
    # more for drgn's helpers in a session
    "avenrun": "unsigned long []",
    "cgrp_dfl_root": "struct cgroup_root",
    "init_net": "struct net",
    "ioport_resource": "struct resource",
    "memblock": "struct memblock",
    "net_namespace_list": "struct list_head",
    "slab_kset": "struct kset *",
    "sysctl_overcommit_kbytes": "unsigned long",
    "sysctl_overcommit_ratio": "int",
    "timekeeper_data": "struct tk_data []",
    "vm_committed_as": "struct percpu_counter",
} | X86_GLOBALS

_POPULATE = "vmemmap_populate"
"""A function by which drgn knows that all struct pages are in one array, ``vmemmap``."""
_NOT_CONSTANT = FindObjectFlags.VARIABLE | FindObjectFlags.FUNCTION


class Globals:
    """:meth:`find` is a drgn object finder over symbols, BTF and :data:`TYPES`."""

    def __init__(self, types: BtfTypes) -> None:
        self.types = types

    def find(
        self, prog: Program, name: str, flags: FindObjectFlags, filename: str | None
    ) -> Object | None:
        if filename:
            return None
        if name == _POPULATE and flags & FindObjectFlags.FUNCTION:
            return self._function(prog, name)
        if flags & FindObjectFlags.VARIABLE:
            symbols = prog.symbols(name)
            if symbols:
                made = self._type(prog, name, symbols[0])
                if made is not None:
                    return Object(prog, made, address=symbols[0].address)
        if flags & FindObjectFlags.CONSTANT:
            return self.types.enumerator(name)
        return None

    @staticmethod
    def _function(prog: Program, name: str) -> Object | None:
        """A function, whatever its type."""
        symbols = prog.symbols(name)
        if not symbols:
            return None
        return Object(prog, prog.function_type(prog.void_type(), ()), address=symbols[0].address)

    def _type(self, prog: Program, name: str, symbol: Symbol) -> Type | None:
        known = TYPES.get(name)
        if known is None:
            return self.types.variable(name)
        try:
            if known.endswith("[]"):
                element = prog.type(known.removesuffix("[]").rstrip())
                return prog.array_type(element, symbol.size // sizeof(element))
            return prog.type(known)
        except LookupError:
            return None
