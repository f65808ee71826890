# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pointers in disguise: not plain addresses, each kind a rule of its own.

What needs no rule: tag bits in low bits, as in xarrays, maple trees, red-black trees,
``memcg_data`` and ``page->mapping``, leave an address within the allocation.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import numpy.typing as npt
from drgn import Object, Program, offsetof, sizeof

from ..arch.known import plain
from ..arrays import U64
from ..kernel.kernel import Kernel
from ..kernel.layouts import ModuleTags, ThreadStacks
from ..kernel.machine.modules import loaded_modules
from ..kernel.mm.kfence import kfence_words
from ..kernel.mm.page_tables import Level, PageTables
from ..kernel.mm.sections import page_ext_size
from ..kernel.mm.slab_free import Sheaves
from ..kernel.mm.vmalloc import unused_ranges
from ..kernel.walk import ReadErrors, list_entries, structure, walk
from ..problems import Problem
from .nodes import NOTHING, Area, Codes, Heap, NodeKind, Spans, root_code
from .roots import Tier
from .scan import Scanner

_VMCOREINFO_HEAD = 64
"""Bytes that tell it from anything else: its release and the build ID."""

_LOADED_KERNELS = "kexec_image", "kexec_crash_image"
"""Pointers to the kernels that kexec loaded: kernel/kexec_core.c."""

_MOST_RECORDS = 1 << 24
"""Records of KASAN: 32,768 if ``kasan.stack_ring_size`` does not say otherwise."""

_KCORE = structure("the list of kcore ranges", "kcore range", most=1 << 16)


def page_extensions(scanner: Scanner) -> None:
    """``mem_section->page_ext`` is biased, so that absolute page frame numbers index it.

    Mirrors ``init_section_page_ext()`` in ``mm/page_ext.c``.
    """
    sections = [s for s in scanner.heap.index.sections if s.page_ext]
    if not sections:
        return
    size = page_ext_size(scanner.memory.prog)
    page = scanner.memory.page
    starts = [np.arange(s.page_ext & -page, s.page_ext + s.pages * size, page) for s in sections]
    addresses = np.concatenate(starts).astype(np.uint64)
    root = root_code(scanner.heap.roots.add("mem_section", Tier.NAMED, "kernel"))
    target = scanner.pointers.targets(addresses)
    scanner.links.add(np.full(len(target), root, np.int32), target)


def page_tables(scanner: Scanner) -> None:
    """Tables point at tables by physical addresses, and at memory that is mapped.

    The direct map shows all memory, and vmalloc space what areas hold: what is mapped
    there is not held by that. What is mapped elsewhere is: struct pages, espfix stacks.
    """
    heap = scanner.heap
    tables, top = PageTables(scanner.kernel), _kernel_top(scanner)
    half = tables.format.upper_half
    root = root_code(heap.roots.add("page tables", Tier.OTHER))
    if top[0]:
        for level in tables.walk(top, half, (1 << 64) - 1, leaves=False):
            _link_tables(scanner, level, root)
        for low, high in scanner.kernel.arch.mapped_alone:
            for level in tables.walk(top, low, high, leaves=True):
                _link_mapped(scanner, level, root)
    for level in tables.walk(_user_tops(scanner), 0, half - 1, leaves=False):
        _link_tables(scanner, level, root)


def mapped_areas(scanner: Scanner) -> None:
    """Areas of vmalloc space without an array of pages hold what page tables map there.

    Whoever asked for them knows the area's address and nothing else of the pages: BPF ring
    buffers (``vmap()`` of a caller's array), BPF arenas (``VM_SPARSE``), pools of DMA memory.
    Nobody judges whether such an area is needed. Mirrors ``mm/vmalloc.c``.
    """
    heap = scanner.heap
    bare = [a.vm for a in heap.areas if not (a.vm.page_array and a.vm.pages)]
    bare = [vm for vm in bare if vm.kind != "ioremap" and vm.size > 0]
    top = _kernel_top(scanner)
    if not bare or not top[0]:
        return
    tables = PageTables(scanner.kernel)
    root = root_code(heap.roots.add("vmalloc areas without a page array", Tier.OTHER))
    for vm in bare:
        for level in tables.walk(top, vm.start, vm.start + vm.size - 1, leaves=True):
            _link_mapped(scanner, level, root)


def _kernel_top(scanner: Scanner) -> U64:
    """The kernel's top table; 0 if VMCOREINFO does not tell."""
    return np.array([scanner.kernel.vmcoreinfo.symbol("swapper_pg_dir") or 0], np.uint64)


def _user_tops(scanner: Scanner) -> U64:
    """Top tables of all address spaces."""
    offset = offsetof(scanner.memory.prog.type("struct mm_struct"), "pgd")
    spaces = scanner.heap.objects_of("mm_struct")
    words, _ = scanner.memory.words(spaces + np.uint64(offset))
    return np.unique(scanner.kernel.arch.untag(words[words != 0]))


def _link_tables(scanner: Scanner, level: Level, root: int) -> None:
    heap = scanner.heap
    rows = np.flatnonzero(level.is_table)
    base = np.uint64(heap.direct_map)
    source = heap.at(level.table[rows] + base)
    source = np.where(source == NOTHING, root, source)
    scanner.links.add(source, heap.at(level.target[rows] + base))


def _link_mapped(scanner: Scanner, level: Level, root: int) -> None:
    mapped = level.target[~level.is_table]
    # The processor does not look at the low bits of large pages' addresses.
    pfn = (mapped >> np.uint64(scanner.heap.page.shift)).view(np.int64) & -level.pages
    # Larger pages than those that a table of the second level maps hold no single allocation.
    most = 1 << scanner.heap.page.table_order
    pfn = (pfn[:, None] + np.arange(min(level.pages, most))).ravel()
    target = scanner.heap.of_pages(pfn)
    scanner.links.add(np.full(len(target), root, np.int32), target)


def vmalloc_areas(scanner: Scanner) -> None:
    """A ``struct vm_struct`` stands for its area: some keep nothing else of it.

    The allocator's own trees and arrays, which have all areas, hold none of them: see
    :func:`bookkeeping`. As ``kmemleak_vmalloc()`` has it.
    """
    heap = scanner.heap
    root = root_code(heap.roots.add("vmalloc areas", Tier.OTHER))
    code = np.array([a.code for a in heap.areas], np.int32)
    code[code == NOTHING] = root
    address = np.array([a.vm.vm_struct for a in heap.areas], np.uint64)
    vm_struct = scanner.pointers.targets(address)
    scanner.links.add(code, vm_struct)
    scanner.links.add(vm_struct, code)


def dead_stacks(scanner: Scanner, stack_sites: npt.NDArray[np.intp]) -> None:
    """A dead task's stack waits for a grace period with a callback at its bottom.

    Mirrors ``struct vm_stack`` in ``kernel/fork.c``; a live stack does not reach so far.
    """
    heap = scanner.heap
    if scanner.kernel.layouts[ThreadStacks] is not ThreadStacks.VM_STACK:
        return  # stacks are not in vmalloc areas
    size = sizeof(scanner.memory.prog.type("struct vm_stack"))
    code = np.array([a.code for a in heap.areas], np.int32)
    start = np.array([a.vm.start for a in heap.areas], np.uint64)
    stacks = (code >= 0) & np.isin(heap.nodes.site[np.maximum(code, 0)], stack_sites)
    code, start = code[stacks], start[stacks]
    offsets = np.arange(0, size, 8, dtype=np.uint64)
    words, _ = scanner.memory.words((start[:, None] + offsets).ravel())
    scanner.links.add(np.repeat(code, len(offsets)), scanner.pointers.targets(words))


def replaced_vmcoreinfo(scanner: Scanner, sites: npt.NDArray[np.intp], unknown: int) -> None:
    """In the moment of the crash, ``vmcoreinfo_data`` is made to point at a copy.

    Mirrors ``crash_save_vmcoreinfo()`` in ``kernel/vmcore_info.c``.

    :param sites: rows of the sites that allocate it
    :param unknown: row of pages of unknown use: it is told by its contents among those that
        nothing points at
    """
    heap = scanner.heap
    root = root_code(heap.roots.add("vmcoreinfo_data before the crash", Tier.NAMED, "kernel"))
    nodes = heap.nodes
    found = np.isin(nodes.site, sites)
    maybe = np.flatnonzero(
        (nodes.site == unknown) & (nodes.size == heap.page.bytes) & ~scanner.exact
    )
    offsets = np.arange(0, _VMCOREINFO_HEAD, 8, dtype=np.uint64)
    words, _ = scanner.memory.words((nodes.address[maybe][:, None] + offsets).ravel())
    text = _vmcoreinfo(scanner.memory.prog)
    if text is not None:
        found[maybe[(words.reshape(-1, len(offsets)) == text).all(axis=1)]] = True
    node = np.flatnonzero(found).astype(np.int32)
    scanner.links.add(np.full(len(node), root, np.int32), node)


def _vmcoreinfo(prog: Program) -> U64 | None:
    """The first words of it; None if the dump has none."""
    try:
        text = prog["VMCOREINFO"].string_()
    except ReadErrors:
        return None
    return np.frombuffer(text.ljust(_VMCOREINFO_HEAD, b"\0")[:_VMCOREINFO_HEAD], np.uint64)


def unloaded_modules(scanner: Scanner, tags: U64, loaded: Codes) -> None:
    """Linux 6.10 to 6.12 keeps the data of an unloaded module for the tags in it, while
    memory of theirs is alive. Nothing else in it is in use: what it points at is nobody's.

    :param tags: addresses of the tags of unloaded modules
    :param loaded: areas of loaded modules
    """
    heap = scanner.heap
    if scanner.kernel.layouts[ModuleTags] is ModuleTags.AREA:
        return
    code = heap.vmalloc.find(tags)
    # Its read-only data are areas of their own, by the same call site.
    site = heap.nodes.site
    same = np.isin(site, site[code[code >= 0]]) & (heap.nodes.kind == NodeKind.VMALLOC)
    same[loaded] = False
    code = np.flatnonzero(same).astype(np.int32)
    heap.skip(code)
    root = root_code(heap.roots.add("tags of unloaded modules", Tier.OTHER))
    scanner.links.add(np.full(len(code), root, np.int32), code)


def loaded_module_areas(scanner: Scanner) -> Codes:
    """The vmalloc areas of loaded modules: what is in them is the modules' variables'."""
    starts = []
    for module in loaded_modules(scanner.memory.prog).modules:
        with suppress(*ReadErrors):
            starts += [start for start, _ in module.regions()]
    code = np.unique(scanner.heap.vmalloc.find(np.array(starts, np.uint64)))
    return code[code >= 0]


def bookkeeping(prog: Program, areas: list[Area]) -> tuple[Spans, list[Problem]]:
    """Words by which the vmalloc allocator knows all areas, and the free space between them: that
    ends where the next area begins.

    :return: the words, and what was unreadable
    """
    spans = []
    unused = unused_ranges(prog)
    for struct, member in (
        ("vmap_area", "va_start"),
        ("vmap_area", "va_end"),
        ("vmap_area", "vm"),
        ("vm_struct", "addr"),
    ):
        offset = offsetof(prog.type(f"struct {struct}"), member)
        spans += [(getattr(a.vm, struct) + offset, 8) for a in areas]
    for member in ("va_start", "va_end", "vm"):
        offset = offsetof(prog.type("struct vmap_area"), member)
        spans += [(address + offset, 8) for address in unused]
    spans += [(a.vm.page_array, 8 * a.vm.pages) for a in areas if a.code >= 0]
    table = np.array(spans, np.uint64).reshape(-1, 2)
    none = np.zeros(len(table), np.int32)
    return Spans.of(table[:, 0], table[:, 0] + table[:, 1], none), unused.problems


def leak_detector(prog: Program, heap: Heap) -> Spans:
    """kmemleak's own words, which have the address of every object, and hold none.

    Mirrors ``struct kmemleak_object`` in ``mm/kmemleak.c``: objects of a slab cache, and of an
    array for those that were there before slab caches.
    """
    try:
        type_, area = (prog.type(f"struct kmemleak_{name}") for name in ("object", "scan_area"))
    except LookupError:
        return Spans.none()  # built without CONFIG_DEBUG_KMEMLEAK
    size = np.uint64(sizeof(type_))
    objects = [heap.objects_of("kmemleak_object")]
    for symbol in prog.symbols("mem_pool"):
        count = symbol.size // sizeof(type_)
        objects.append(np.uint64(symbol.address) + np.arange(count, dtype=np.uint64) * size)
    start = [
        address + np.uint64(offsetof(type_, member))
        for address in objects
        for member in ("pointer", "excess_ref")
    ]
    start.append(heap.objects_of("kmemleak_scan_area") + np.uint64(offsetof(area, "start")))
    word = np.concatenate(start)
    return Spans.of(word, word + np.uint64(8), np.zeros(len(word), np.int32))


def recent_allocations(prog: Program) -> Spans:
    """KASAN's list of what was allocated and freed lately, which says nothing of who has it.

    Mirrors ``struct kasan_stack_ring`` in ``mm/kasan/kasan.h``, and ``mm/kasan/tags.c``.
    """
    try:
        place = prog.symbol("stack_ring").address
        ring = Object(prog, "struct kasan_stack_ring", address=place)
        start, count = ring.entries.value_(), ring.size.value_()
        size = sizeof(ring.entries.type_.type)
    except ReadErrors:
        return Spans.none()  # built without KASAN, or with another kind of it
    first = np.array([plain(prog, start)], np.uint64)
    end = first + np.uint64(min(count, _MOST_RECORDS) * size)
    return Spans.of(first, end, np.zeros(1, np.int32))


def kcore_ranges(prog: Program) -> tuple[Spans, list[Problem]]:
    """``struct kcore_list`` tells where ranges of memory begin, not that they are used.

    Mirrors ``fs/proc/kcore.c``.

    :return: the words that tell it, and what was unreadable
    """
    try:
        head, type_ = prog["kclist_head"].address_of_(), prog.type("struct kcore_list")
    except LookupError:
        return Spans.none(), []  # built without CONFIG_PROC_KCORE
    offset = offsetof(type_, "addr")
    starts = walk(
        prog,
        _KCORE,
        lambda: list_entries("struct kcore_list", head, "list"),
        lambda entry: int(entry.value_()) + offset,
    )
    start = np.array(starts.found, np.uint64)
    spans = Spans.of(start, start + np.uint64(8), np.zeros(len(start), np.int32))
    return spans, starts.problems


def watched_objects(kernel: Kernel) -> Spans:
    """The words by which KFENCE knows the objects that it watches; mm/kfence/kfence.h."""
    word = kfence_words(kernel)
    return Spans.of(word, word + np.uint64(8), np.zeros(len(word), np.int32))


def loaded_kernels(prog: Program) -> Spans:
    """The words that tell where segments of a kernel that kexec loaded were copied from.

    ``kexec_file_load()`` has freed these buffers since: ``kimage_file_post_load_cleanup()``,
    kernel/kexec_file.c. Of ``kexec_load()`` they are user memory.
    """
    words: list[int] = []
    for name in _LOADED_KERNELS:
        with suppress(*ReadErrors):
            image = prog[name].read_()
            if image:
                words += [int(part.buf.address_of_()) for part in image.segment]
    word = np.array(words, np.uint64)
    return Spans.of(word, word + np.uint64(8), np.zeros(len(word), np.int32))


def stale_ends(found: Sheaves) -> Spans:
    """The unused ends of sheaves, which keep the addresses of what was taken from them."""
    array = found.address + np.uint64(found.objects)
    start, end = (array + n.astype(np.uint64) * np.uint64(8) for n in (found.size, found.capacity))
    return Spans.of(start, end, np.zeros(len(found), np.int32))
