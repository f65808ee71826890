# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names that readers do without, and the kernels that should have them.

Most readers end in a sentence of their own where a name is missing. Some cannot: to them it means
a kernel of another configuration, or one from before the name came. Each of these has a row in
:data:`EXPECTED`, which says what else such a kernel has, and the effect where the name is missing
all the same: a structure looks like none that is known, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drgn import Program, sizeof

from .layouts import (
    CodeTags,
    PageReferences,
    Probe,
    UnknownLayoutError,
    has_constant,
    has_member,
    has_symbol,
    has_type,
    static_key,
)

_PROFILING_KEY = "mem_alloc_profiling_key"


def _always(prog: Program) -> bool:
    return True


@dataclass(frozen=True)
class Expected:
    """Names of which a kernel that has some feature should have all."""

    effect: str
    """Effect on the answers where one is missing, as a clause; all others are as ever."""
    names: tuple[str, ...]
    """As :func:`has_name` has it; several that stand for each other have ``|`` between them."""
    feature: Probe = _always
    """Tells if a kernel should have them, by what else it has."""

    def missing(self, prog: Program) -> Iterator[str]:
        """The names that a kernel lacks though it should have them; one of several is enough."""
        for name in self.names:
            others = name.split(" | ")
            if not any(has_name(prog, other) for other in others) and self.feature(prog):
                yield others[0]


def has_name(prog: Program, name: str) -> bool:
    """Tell if a kernel has ``member struct page.lru``, ``type struct page``, ``enumerator
    PG_lru`` or ``symbol prb``."""
    kind, _, what = name.partition(" ")
    match kind:
        case "member":
            owner, _, member = what.rpartition(".")
            return has_member(prog, owner, member)
        case "type":
            return has_type(prog, what)
        case "enumerator":
            return has_constant(prog, what)
        case "symbol":
            return has_symbol(prog, what)
    raise ValueError(f"{name}: no kind of name")


def _has(name: str) -> Probe:
    return lambda prog: has_name(prog, name)


def _memcg(prog: Program) -> bool:
    """CONFIG_MEMCG."""
    return has_symbol(prog, "root_mem_cgroup") or has_symbol(prog, "memory_cgrp_subsys")


def _reclaimable_slabs(prog: Program) -> bool:
    """Without CONFIG_SLUB_TINY (``enum kmalloc_cache_type`` in include/linux/slab.h)."""
    try:
        same = prog.constant("KMALLOC_RECLAIM") == prog.constant("KMALLOC_NORMAL")
    except LookupError:
        return False
    return has_type(prog, "enum _slab_flag_bits") and not same


def _module_area(prog: Program) -> bool:
    return CodeTags.detect(prog) is CodeTags.BUILT_IN and has_symbol(prog, "module_tags")


def _page_extensions(prog: Program) -> bool:
    """References of pages are in their extensions."""
    try:
        variant = PageReferences.detect(prog)
    except UnknownLayoutError:
        return False
    return variant is PageReferences.PAGE_EXT and bool(static_key(prog, _PROFILING_KEY))


def _taint_flags_have_pointers(prog: Program) -> bool:
    """Two letters and a bool in old kernels, with a text in later ones (include/linux/panic.h)."""
    return has_type(prog, "struct taint_flag") and sizeof(prog.type("struct taint_flag")) > 8


EXPECTED = (
    Expected(
        "objects whose extensions could not be allocated are not told",
        ("enumerator OBJEXTS_ALLOC_FAIL",),
        _has("type struct alloc_tag"),
    ),
    Expected(
        "memory of slab caches counts as memory that the kernel cannot free",
        ("enumerator _SLAB_RECLAIM_ACCOUNT",),
        _reclaimable_slabs,
    ),
    Expected(
        "flags of slab caches are taken for those of Linux 6.8",
        ("type enum _slab_flag_bits",),
        _has("type struct vmap_node"),  # it came in the same release, 6.9
    ),
    Expected(
        "slab caches of kmalloc() are not told from others",
        ("enumerator _SLAB_KMALLOC",),
        _has("type enum _slab_flag_bits"),
    ),
    Expected(
        "the stacks that slab caches keep are not read",
        ("enumerator _SLAB_STORE_USER",),
        _has("type enum _slab_flag_bits"),
    ),
    Expected(
        "free objects in sheaves count as in use",
        ("member struct kmem_cache.cpu_sheaves", "member struct kmem_cache.sheaf_capacity"),
        _has("type struct slab_sheaf"),
    ),
    Expected(
        "pages have no call sites",
        ("member struct mem_section.page_ext", "symbol page_ext_size"),
        _page_extensions,
    ),
    Expected(
        "memory cgroups, their limits and their memory are not told",
        ("symbol root_mem_cgroup", "symbol memory_cgrp_subsys"),
        _memcg,
    ),
    Expected(
        "the memory cgroups of tasks are not told",
        (
            "enumerator memory_cgrp_id",
            "member struct task_struct.cgroups",
            "type struct css_set",
            "member struct css_set.subsys",
        ),
        _memcg,
    ),
    Expected(
        "the paths of memory cgroups are not told",
        (
            "member struct cgroup_subsys_state.cgroup",
            "member struct cgroup.kn",
            "member struct kernfs_node.__parent | member struct kernfs_node.parent",
            "member struct kernfs_node.name",
            "member struct cgroup_subsys_state.flags",
            "enumerator CSS_ONLINE",
        ),
        _memcg,
    ),
    Expected(
        "the memory cgroups of pages are not told",
        ("member struct page.memcg_data",),
        _memcg,
    ),
    Expected(
        "pages are taken to refer to memory cgroups as they did before Linux 7.1",
        ("member struct mem_cgroup_per_node.objcg",),
        lambda prog: _memcg(prog) and has_member(prog, "struct page", "compound_info"),
    ),
    Expected(
        "the memory cgroups of per-CPU memory are not told",
        ("member struct pcpuobj_ext.cgroup | member struct pcpu_chunk.obj_cgroups",),
        _memcg,
    ),
    Expected(
        "memory of struct pages counts as reserved since boot",
        ("symbol init_mm", "member struct mm_struct.pgd"),
    ),
    Expected(
        "stacks of tasks that have ended are not told from others",
        ("member struct task_struct.exit_state", "member struct task_struct.stack"),
    ),
    Expected(
        "counters of unloaded modules are not read, but what the kernel log has of them",
        ("member struct codetag_type_desc.module_load",),
        _module_area,
    ),
    Expected(
        "what the kernel was tainted with is not told",
        ("symbol tainted_mask", "symbol taint_flags", "member struct taint_flag.c_true"),
    ),
    Expected(
        "what the kernel was tainted with is told by letters alone",
        ("member struct taint_flag.desc",),
        _taint_flags_have_pointers,
    ),
    Expected(
        "mounts are called by their types",
        ("member struct super_block.s_mounts",),
    ),
    Expected(
        "parts of the memory of tasks are not counted",
        ("member struct percpu_counter.counters",),
        _has("symbol __per_cpu_offset"),
    ),
    Expected(
        "the task that died may be another one",
        ("symbol runqueues", "member struct rq.curr", "member struct task_struct.pid"),
    ),
    Expected(
        "the stack of the task that died is not told, but what the kernel log has of it",
        ("symbol crash_notes", "symbol panic_cpu | symbol crashing_cpu", "type note_buf_t"),
        _has("symbol crashk_res"),
    ),
    Expected(
        "memory for the crash kernel counts as other memory that boot kept",
        ("symbol crashk_res", "symbol crashk_low_res"),
        _has("symbol crash_notes"),
    ),
    Expected(
        "the kernel's version and the machine's name are not told",
        (
            "symbol init_uts_ns",
            "type struct uts_namespace",
            "member struct uts_namespace.name",
            "member struct new_utsname.machine",
            "member struct new_utsname.nodename",
            "member struct new_utsname.version",
        ),
    ),
    Expected(
        "parameters on the kernel's command line are not told",
        ("symbol saved_command_line",),
    ),
    Expected(
        "how long the machine was up is not told",
        (
            "symbol timekeeper_data | symbol tk_core",
            "type struct timekeeper",
            "member struct timekeeper.tkr_mono",
            "member struct timekeeper.ktime_sec",
            "member struct timekeeper.xtime_interval",
            "member struct timekeeper.offs_boot",
            "member struct tk_read_base.base",
            "member struct tk_read_base.shift",
            "member struct tk_read_base.xtime_nsec",
        ),
    ),
)


def missing_names(prog: Program) -> list[str]:
    """Sentences on the names that a kernel should have, as far as is known, and lacks."""
    return [
        f"The kernel has no {first}, which this version of allocdump expects: {expected.effect}."
        for expected in EXPECTED
        if (first := next(expected.missing(prog), ""))
    ]
