# SPDX-License-Identifier: LGPL-2.1-or-later
"""Variants of structures, detected by types, members and symbols.

Each layout is an enumeration, newest variant first. A kernel has the first variant whose
probe says yes; readers ask :attr:`.kernel.Kernel.layouts` and never probe for themselves,
and nothing asks for a release: distributions backport. Members that only the configuration
adds or takes away (``page->memcg_data``) are no variants: readers ask types for them. The
table in docs/architecture.md is made from here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Self, TypeVar

from drgn import FaultError, Program, TypeKind

Probe = Callable[[Program], bool]
Variants = TypeVar("Variants", bound="Layout")


class UnknownLayoutError(LookupError):
    """A structure looks like none of the variants that are known."""


@dataclass(frozen=True)
class Variant:
    """One way in which kernels lay out a structure."""

    since: str
    """Mainline release that it came with."""
    commit: str
    """``0123456789ab ("subject")``; empty if it has no single one."""
    text: str
    """The layout, in words."""
    probe: Probe
    dump: str = ""
    """A folder of testdata/ whose dump has it; empty if none has."""


class Layout(Enum):
    """Base of the layouts; the values of members are :class:`Variant`."""

    @classmethod
    def detect(cls, prog: Program) -> Self:
        """The variant that a kernel has.

        :raises UnknownLayoutError: if it is none of them
        """
        for member in cls:
            if member.value.probe(prog):
                return member
        raise UnknownLayoutError(
            f"{cls.structure()}: laid out in a way that this version of allocdump does not know"
        )

    @classmethod
    def structure(cls) -> str:
        """The structure, in words: the first line of the docstring."""
        return (cls.__doc__ or cls.__name__).splitlines()[0].rstrip(".")


def has_type(prog: Program, name: str) -> bool:
    """Tell if the kernel has a type of that name."""
    try:
        prog.type(name)
    except LookupError:
        return False
    return True


def has_member(prog: Program, type_name: str, member: str) -> bool:
    """Tell if the kernel has a type of that name with such a member."""
    try:
        return bool(prog.type(type_name).has_member(member))
    except (LookupError, TypeError):
        return False


def has_array(prog: Program, type_name: str, member: str) -> bool:
    """Tell if the kernel has a type of that name with such a member, and it is an array."""
    if not has_member(prog, type_name, member):
        return False
    return bool(prog.type(type_name).member(member).type.kind == TypeKind.ARRAY)


def has_symbol(prog: Program, name: str) -> bool:
    """Tell if the kernel has a symbol of that name."""
    return bool(prog.symbols(name))


def has_constant(prog: Program, name: str) -> bool:
    """Tell if the kernel has an enumerator of that name."""
    try:
        prog.constant(name)
    except LookupError:
        return False
    return True


def static_key(prog: Program, name: str) -> bool | None:
    """State of a static key; None if the kernel has no such key, or it is unreadable."""
    try:
        key = prog[name].read_()
        # struct static_key_true and static_key_false only wrap struct static_key.
        if key.type_.has_member("key"):
            key = key.key
        return bool(key.enabled.counter.value_() > 0)
    except (LookupError, FaultError, AttributeError, TypeError):
        return None


def _member(type_name: str, member: str) -> Probe:
    return lambda prog: has_member(prog, type_name, member)


def _without_memcg(prog: Program) -> bool:
    return not has_member(prog, "struct page", "memcg_data")


def _one_step(prog: Program) -> bool:
    """Extensions are never inside objects, and all are as far apart as they are large."""
    return not has_constant(prog, "_SLAB_OBJ_EXT_IN_OBJ")


def _always(prog: Program) -> bool:
    return True


def _code_tags(prog: Program) -> bool:
    """Since 6.10, the section's symbols are there without the option, too, but it is empty:
    CODETAG_SECTIONS() in include/asm-generic/codetag.lds.h."""
    if not has_type(prog, "struct alloc_tag"):
        return False
    try:
        start, stop = (prog.symbol(f"__{end}_alloc_tags").address for end in ("start", "stop"))
    except LookupError:
        return False
    return bool(start < stop)


def _module_load_parameters(prog: Program) -> int:
    """Number of parameters of ``codetag_type_desc.module_load``; 0 if there is no such member.

    What allocates counters needs the module and its tags; before, it was told the range's record.
    """
    try:
        load = prog.type("struct codetag_type_desc").member("module_load").type
        return len(load.type.parameters)
    except (LookupError, AttributeError, TypeError):
        return 0


def _page_type_bit(prog: Program) -> int:
    """PG_buddy of enum pagetype: 0 where it is a macro, before 6.10."""
    try:
        return int(prog.constant("PG_buddy").value_())
    except LookupError:
        return 0


class CodeTags(Layout):
    """Code tags of allocations (include/linux/alloc_tag.h)."""

    BUILT_IN = Variant(
        "6.10",
        '22d407b164ff ("lib: add allocation tagging support for memory allocation profiling")',
        "struct alloc_tag between __start_alloc_tags and __stop_alloc_tags",
        _code_tags,
        "7.3-tiny",
    )
    NONE = Variant(
        "",
        "",
        "without CONFIG_MEM_ALLOC_PROFILING",
        lambda prog: not has_symbol(prog, "alloc_tag_cttype"),
        "stock-6.12-quiet",
    )


class ModuleTags(Layout):
    """Code tags of modules (lib/alloc_tag.c; mm/alloc_tag.c since 7.3)."""

    AREA = Variant(
        "6.13",
        '0db6f8d7820a ("alloc_tag: load module tags into separate contiguous memory")',
        "in the area module_tags, which the maple tree mod_area_mt hands out",
        lambda prog: has_symbol(prog, "module_tags"),
        "7.2-quiet",
    )
    MODULE_DATA = Variant(
        "6.10",
        'a4735739016f ("lib: code tagging module support")',
        "in each module's own data",
        _always,
        "6.12-oom",
    )


class ModuleCounters(Layout):
    """Counters of modules' code tags (lib/alloc_tag.c; mm/alloc_tag.c since 7.3)."""

    ALLOCATED = Variant(
        "6.15",
        '12ca42c23775 ("alloc_tag: allocate percpu counters for module tags dynamically")',
        "per-CPU memory of their own, which stays when the module is unloaded",
        lambda prog: _module_load_parameters(prog) == 3,
        "7.2-quiet",
    )
    STATIC = Variant(
        "6.10",
        '22d407b164ff ("lib: add allocation tagging support for memory allocation profiling")',
        "the module's per-CPU memory, which is freed with it",
        lambda prog: not _code_tags(prog) or _module_load_parameters(prog) == 2,
        "6.12-oom",
    )


class PageReferences(Layout):
    """References of pages to their tags (include/linux/pgalloc_tag.h)."""

    PAGE_FLAGS = Variant(
        "6.13",
        '4835f747d3ed ("alloc_tag: support for page allocation tag compression")',
        "an index in page->flags, with mem_profiling_compressed on",
        lambda prog: _code_tags(prog) and bool(static_key(prog, "mem_profiling_compressed")),
        "7.3-compressed",
    )
    PAGE_EXT = Variant(
        "6.10",
        'dcfe378c81f7 ("lib: introduce support for page allocation tagging")',
        "a pointer in the page's extension",
        _code_tags,
        "7.3-tiny",
    )
    NONE = Variant("", "", "no references", _always, "stock-6.12-quiet")


class PageFlags(Layout):
    """Flags of struct page (include/linux/mm_types.h)."""

    MEMDESC = Variant(
        "6.18",
        '53fbef56e07d ("mm: introduce memdesc_flags_t")',
        "memdesc_flags_t flags, whose member f is the word",
        _member("memdesc_flags_t", "f"),
        "7.2-quiet",
    )
    WORD = Variant("2.6", "", "unsigned long flags", _member("struct page", "flags"), "6.12-oom")


class PageTypes(Layout):
    """Types of pages in page->page_type (include/linux/page-flags.h)."""

    TOP_BYTE = Variant(
        "6.12",
        '4ffca5a96678 ("mm: support only one page_type per page")',
        "one of the enumerators PGTY_*, in the top byte",
        lambda prog: has_constant(prog, "PGTY_buddy"),
        "6.12-oom",
    )
    HIGH_BITS = Variant(
        "6.11",
        '8db00ad56461 ("mm: allow reuse of the lower 16 bit of the page type with an actual type")',
        "one of the bits PG_* of enum pagetype is zero, below the base 0x80000000",
        lambda prog: _page_type_bit(prog) >= 1 << 16,
    )
    LOW_BITS = Variant(
        "6.10",
        'ff202303c398 ("mm: convert page type macros to enum")',
        "one of the bits PG_* of enum pagetype is zero, below the base 0xf0000000",
        lambda prog: 0 < _page_type_bit(prog) < 1 << 16,
    )
    MACROS = Variant(
        "4.18",
        '6e292b9be7f4 ("mm: split page_type out from _mapcount")',
        "as in 6.10, but the bits are macros, and slabs are told by the flag PG_slab",
        lambda prog: has_constant(prog, "PG_slab"),
        "stock-6.1-tmpfs",
    )


class FolioOrders(Layout):
    """Orders of compound pages in their first tail (include/linux/mm_types.h)."""

    FLAGS = Variant(
        "6.6",
        'ebc1baf5c9b4 ("mm: free up a word in the first tail page")',
        "the low byte of its flags",
        lambda prog: not has_member(prog, "struct page", "compound_order"),
        "6.12-oom",
    )
    MEMBER = Variant(
        "2.6",
        "",
        "page->compound_order",
        _member("struct page", "compound_order"),
        "stock-6.1-tmpfs",
    )


class SlabExtensions(Layout):
    """References of slab objects to their tags (mm/slab.h, struct slabobj_ext)."""

    NONE = Variant("", "", "no references", lambda prog: not _code_tags(prog), "stock-6.12-quiet")
    WORDS = Variant(
        "7.3",
        'f901ed647994 ("mm/slab: change struct slabobj_ext to a union")',
        "one or two words an object: its memory cgroup if slab->obj_exts_needs_objcg, its tag;"
        " or inside the objects, if slab->obj_exts_in_object",
        lambda prog: (
            has_member(prog, "struct slabobj_ext", "_ctref")
            and has_member(prog, "struct slab", "obj_exts_in_object")
            and has_member(prog, "struct slab", "obj_exts_needs_objcg")
        ),
        "7.3-tiny",
    )
    STRIDE = Variant(
        "7.0",
        '7a8e71bc619d ("mm/slab: use stride to access slabobj_ext")',
        "a vector of struct slabobj_ext, slab->stride apart, also in space left over in the slab"
        " or inside the objects",
        lambda prog: (
            has_member(prog, "struct slab", "stride")
            and has_member(prog, "struct slabobj_ext", "ref")
        ),
        "7.2-quiet",
    )
    VECTOR = Variant(
        "6.10",
        '21c690a349ba ("mm: introduce slabobj_ext to support slab object extensions")',
        "a vector of struct slabobj_ext outside of the slab",
        lambda prog: has_member(prog, "struct slabobj_ext", "ref") and _one_step(prog),
        "6.12-oom",
    )


class PageCharges(Layout):
    """Memory cgroups of pages, in page->memcg_data (include/linux/memcontrol.h)."""

    NONE = Variant(
        "",
        "",
        "without CONFIG_MEMCG",
        _without_memcg,
    )
    OBJCG = Variant(
        "7.1",
        "",
        "a struct obj_cgroup, of which each memory cgroup has one a node",
        _member("struct mem_cgroup_per_node", "objcg"),
        "7.2-oom-memcg",
    )
    MEMCG = Variant(
        "5.11",
        "",
        "a struct obj_cgroup for memory of the kernel, marked MEMCG_DATA_KMEM; else a struct"
        " mem_cgroup",
        _always,
        "6.12-oom-user",
    )


class SlabCharges(Layout):
    """Memory cgroups of slab objects (mm/slab.h)."""

    NONE = Variant(
        "",
        "",
        "without CONFIG_MEMCG",
        _without_memcg,
    )
    WORD = Variant(
        "7.3",
        'f901ed647994 ("mm/slab: change struct slabobj_ext to a union")',
        "the first word of an object's extension, if slab->obj_exts_needs_objcg",
        lambda prog: (
            has_member(prog, "struct slabobj_ext", "_objcg")
            and has_member(prog, "struct slab", "obj_exts_in_object")
            and has_member(prog, "struct slab", "obj_exts_needs_objcg")
        ),
        "stock-7.3-pipes",
    )
    EXTENSION = Variant(
        "6.10",
        '21c690a349ba ("mm: introduce slabobj_ext to support slab object extensions")',
        "slabobj_ext.objcg",
        lambda prog: (
            has_member(prog, "struct slabobj_ext", "objcg")
            and (has_member(prog, "struct slab", "stride") or _one_step(prog))
        ),
        "stock-6.12-sockets",
    )
    POINTERS = Variant(
        "5.11",
        "",
        "a vector of pointers, slab->memcg_data",
        _member("struct slab", "memcg_data"),
        "stock-6.1-tmpfs",
    )


class PercpuCharges(Layout):
    """Memory cgroups of per-CPU objects (mm/percpu-internal.h)."""

    EXTENSION = Variant(
        "6.10",
        "",
        "pcpuobj_ext.cgroup, in the vector pcpu_chunk.obj_exts",
        _member("struct pcpuobj_ext", "cgroup"),
        "stock-6.12-quiet",
    )
    POINTERS = Variant(
        "5.9",
        "",
        "a vector of pointers, pcpu_chunk.obj_cgroups",
        _member("struct pcpu_chunk", "obj_cgroups"),
        "stock-6.1-tmpfs",
    )
    NONE = Variant("", "", "without CONFIG_MEMCG", _always)


class CpuSlabs(Layout):
    """Free objects that CPUs keep for themselves (mm/slub.c)."""

    SHEAVES = Variant(
        "7.0",
        '32c894c7274b ("slab: remove struct kmem_cache_cpu")',
        "in sheaves only",
        lambda prog: (
            has_type(prog, "struct slab_sheaf")
            and not has_member(prog, "struct kmem_cache", "cpu_slab")
        ),
        "7.2-quiet",
    )
    BOTH = Variant(
        "6.18",
        '2d517aa09bbc ("slab: add opt-in caching layer of percpu sheaves")',
        "in sheaves of some caches, on CPUs' free lists of all",
        lambda prog: has_type(prog, "struct slab_sheaf"),
        "stock-6.18-quiet",
    )
    LISTS = Variant(
        "2.6",
        "",
        "on the free list of each CPU's slab",
        _member("struct kmem_cache", "cpu_slab"),
        "6.12-oom",
    )


class Barns(Layout):
    """Full and empty sheaves of nodes (mm/slub.c)."""

    NONE = Variant(
        "", "", "no sheaves", lambda prog: not has_type(prog, "struct node_barn"), "6.12-oom"
    )
    PER_NODE = Variant(
        "7.1",
        '5ba6bc27b1f9 ("slab: decouple pointer to barn from kmem_cache_node")',
        "kmem_cache.per_node[].barn",
        _member("struct kmem_cache", "per_node"),
        "7.2-quiet",
    )
    CACHE_NODE = Variant(
        "6.18",
        '2d517aa09bbc ("slab: add opt-in caching layer of percpu sheaves")',
        "kmem_cache.node[].barn",
        _member("struct kmem_cache_node", "barn"),
        "stock-6.18-quiet",
    )


class CompoundPages(Layout):
    """Heads of compound pages (include/linux/mm_types.h)."""

    INFO = Variant(
        "7.1",
        "d50569612c29"
        " (\"mm: rename the 'compound_head' field in the 'struct page' to 'compound_info'\")",
        "page->compound_info",
        _member("struct page", "compound_info"),
        "7.2-quiet",
    )
    HEAD = Variant(
        "4.4", "", "page->compound_head", _member("struct page", "compound_head"), "6.12-oom"
    )


class VmapAreas(Layout):
    """Areas of vmalloc space (mm/vmalloc.c)."""

    NODES = Variant(
        "6.9",
        'd093602919ad ("mm: vmalloc: remove global vmap_area_root rb-tree")',
        "on a list and in a tree of each struct vmap_node",
        lambda prog: has_type(prog, "struct vmap_node"),
        "7.2-quiet",
    )
    GLOBAL = Variant(
        "2.6.28",
        "",
        "on the list vmap_area_list, and in the tree vmap_area_root",
        lambda prog: has_symbol(prog, "vmap_area_list"),
        "stock-6.1-tmpfs",
    )


class ThreadStacks(Layout):
    """Stacks of tasks that have ended (kernel/fork.c)."""

    VM_STACK = Variant(
        "5.18",
        'e540bf3162e8 ("fork: Only cache the VMAP stack in finish_task_switch()")',
        "in vmalloc space, with a struct vm_stack at the bottom",
        lambda prog: has_type(prog, "struct vm_stack"),
        "6.12-oom",
    )
    PAGES = Variant("2.6", "", "pages, without CONFIG_VMAP_STACK", _always)


class RssCounters(Layout):
    """Counters of a task's memory (include/linux/mm_types.h)."""

    PERCPU = Variant(
        "6.2",
        'f1a7941243c1 ("mm: convert mm\'s rss stats into percpu_counter")',
        "mm_struct.rss_stat is an array of struct percpu_counter",
        lambda prog: not has_type(prog, "struct mm_rss_stat"),
        "6.12-oom",
    )
    ATOMIC = Variant(
        "2.6",
        "",
        "mm_struct.rss_stat.count is an array of atomic_long_t",
        _always,
        "stock-6.1-tmpfs",
    )


class TmpfsInodes(Layout):
    """Account of a tmpfs's inodes (include/linux/shmem_fs.h)."""

    SPACE = Variant(
        "6.6",
        'e07c469e979d ("tmpfs: track free_ispace instead of free_inodes")',
        "shmem_sb_info.free_ispace, in bytes",
        _member("struct shmem_sb_info", "free_ispace"),
        "6.12-oom",
    )
    COUNT = Variant("2.6", "", "shmem_sb_info.free_inodes, in inodes", _always, "stock-6.1-tmpfs")


class PipePages(Layout):
    """Pages that a pipe keeps for the next writer (include/linux/pipe_fs_i.h)."""

    POOL = Variant(
        "7.3",
        "",
        "pipe_inode_info.prealloc: an array and its count",
        _member("struct pipe_inode_info", "prealloc"),
        "stock-7.3-pipes",
    )
    TWO = Variant(
        "6.15",
        '46af8e2406c2 ("pipe: cache 2 pages instead of 1")',
        "pipe_inode_info.tmp_page is an array",
        lambda prog: has_array(prog, "struct pipe_inode_info", "tmp_page"),
        "7.2-quiet",
    )
    ONE = Variant(
        "2.6",
        "",
        "pipe_inode_info.tmp_page is a pointer",
        _member("struct pipe_inode_info", "tmp_page"),
        "stock-6.12-sockets",
    )


class StackPools(Layout):
    """Pools of the stack depot (lib/stackdepot.c)."""

    NONE = Variant(
        "", "", "without CONFIG_STACKDEPOT", lambda prog: not has_type(prog, "union handle_parts")
    )
    TABLE = Variant(
        "6.18",
        "",
        "stack_pools points at an array; handles count pools from 1",
        lambda prog: has_symbol(prog, "stack_max_pools"),
        "7.3-tiny",
    )
    ARRAY = Variant(
        "6.9",
        'a6c1d9cb9a68 ("stackdepot: rename pool_index to pool_index_plus_1")',
        "stack_pools is an array; handles count pools from 1",
        _member("union handle_parts", "pool_index_plus_1"),
        "6.12-oom",
    )
    ZERO = Variant(
        "6.3",
        '961c949b012f ("lib/stackdepot: rename slab to pool")',
        "stack_pools is an array; handles count pools from 0",
        _member("union handle_parts", "pool_index"),
    )
    SLABS = Variant(
        "4.6",
        'cd11016e5f52 ("mm, kasan: stackdepot implementation. Enable stackdepot for SLAB")',
        "the array is stack_slabs",
        _member("union handle_parts", "slabindex"),
        "stock-6.1-tmpfs",
    )


LAYOUTS: tuple[type[Layout], ...] = (
    CodeTags,
    ModuleTags,
    ModuleCounters,
    PageReferences,
    PageFlags,
    PageTypes,
    FolioOrders,
    CompoundPages,
    SlabExtensions,
    PageCharges,
    SlabCharges,
    PercpuCharges,
    CpuSlabs,
    Barns,
    VmapAreas,
    ThreadStacks,
    RssCounters,
    TmpfsInodes,
    PipePages,
    StackPools,
)
"""All of them, in the order of the table in docs/architecture.md."""


class Layouts:
    """The variants that one kernel has, each detected once, when it is first asked for.

    >>> kernel.layouts[PageFlags]
    <PageFlags.MEMDESC>
    """

    def __init__(self, prog: Program) -> None:
        self._prog = prog
        self._found: dict[type[Layout], Layout] = {}

    def __getitem__(self, layout: type[Variants]) -> Variants:
        """The variant of a layout.

        :raises UnknownLayoutError: if it is none that is known
        """
        found = self._found.get(layout)
        if found is None:
            found = self._found[layout] = layout.detect(self._prog)
        assert isinstance(found, layout)
        return found

    @property
    def profiling(self) -> bool:
        """Tell if the kernel was built with CONFIG_MEM_ALLOC_PROFILING."""
        return self[CodeTags] is CodeTags.BUILT_IN
