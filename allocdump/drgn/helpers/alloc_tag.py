# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Memory Allocation Profiling
---------------------------

The ``allocdump.drgn.helpers.alloc_tag`` module provides helpers for memory allocation profiling
(``CONFIG_MEM_ALLOC_PROFILING``, since Linux 6.10): :linux:`include/linux/alloc_tag.h` and
:linux:`include/linux/codetag.h`.

Every call site that allocates memory has a ``struct alloc_tag`` with its file, line and function,
and counters of what it holds. Memory refers back to the tag of the site that allocated it: pages,
slab objects, and per-CPU objects, each in a way of its own.

.. note::

    Memory that was allocated while profiling was off, or before it was ready, has no tag. Memory
    that the kernel deliberately does not count (``CODETAG_EMPTY`` with
    ``CONFIG_MEM_ALLOC_PROFILING_DEBUG``) has none, either: helpers return ``NULL`` for both.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import NamedTuple

from drgn import NULL, FaultError, IntegerLike, Object, Program, ProgramFlags, sizeof
from drgn.helpers.common.prog import takes_program_or_default
from drgn.helpers.linux.mm import (
    compound_head,
    find_vmap_area,
    in_direct_map,
    page_flags,
    page_to_pfn,
    virt_to_page,
    vmalloc_to_page,
)
from drgn.helpers.linux.percpu import per_cpu_ptr
from drgn.helpers.linux.slab import find_containing_slab_cache

from ...analysis.filters import Pattern
from ...arch.known import plain
from ...kernel.kernel import Kernel, possible_cpus
from ...kernel.layouts import static_key
from ...kernel.machine.modules import loaded_modules
from ...kernel.mm.pagemap import PageMap
from ...kernel.mm.percpu import MIN_ALLOC, chunks, pointer_base
from ...kernel.tags.codetag import TagRange, read_tags, tag_ranges
from ...kernel.tags.sites import UNKNOWN, Sites, named_sites
from ...kernel.tags.unloaded import is_name
from ...kernel.walk import Cut
from ...source.memory import Memory

__all__ = (
    "AllocTagCounters",
    "address_alloc_tag",
    "alloc_tag_counters",
    "alloc_tag_str",
    "find_alloc_tags",
    "for_each_alloc_tag",
    "mem_alloc_profiling_enabled",
    "page_alloc_tag",
    "percpu_alloc_tag",
    "slab_object_alloc_tag",
    "vmalloc_alloc_tag",
)

# CODETAG_EMPTY in include/linux/alloc_tag.h; CODETAG_ID_FIRST in include/linux/pgalloc_tag.h.
_CODETAG_EMPTY = 1
_CODETAG_ID_FIRST = 2
# PAGE_EXT_INVALID in mm/page_ext.c
_PAGE_EXT_INVALID = 1
_MAX_NAME = 1024
_PAGEMAP = "allocdump.pagemap"


@takes_program_or_default
def mem_alloc_profiling_enabled(prog: Program) -> bool:
    """
    Return whether the kernel is profiling its allocations, as the sysctl ``vm.mem_profiling``
    says.

    >>> mem_alloc_profiling_enabled()
    True

    :return: Whether memory that is allocated now gets a tag.
    """
    return bool(static_key(prog, "mem_alloc_profiling_key"))


def _ranges(prog: Program) -> list[TagRange]:
    return tag_ranges(prog, loaded_modules(prog)).ranges


@takes_program_or_default
def for_each_alloc_tag(prog: Program) -> Iterator[Object]:
    """
    Iterate over the tags of the kernel and of all loaded modules, in the order of
    ``/proc/allocinfo``.

    >>> for tag in for_each_alloc_tag():
    ...     if alloc_tag_counters(tag).bytes > 2000000:
    ...         print(alloc_tag_str(tag))
    ...
    mm/percpu.c:512 func:pcpu_mem_zalloc
    mm/slub.c:3282 func:alloc_slab_page
    mm/execmem.c:41 func:execmem_vmalloc

    .. note::

        Tags of a module that was unloaded while memory that it allocated was alive are not
        among them. Memory may refer to them nevertheless.

    :return: Iterator of ``struct alloc_tag *`` objects.
    """
    type_ = prog.type("struct alloc_tag *")
    for span in _ranges(prog):
        first = Object(prog, type_, span.start)
        for i in range((span.stop - span.start) // sizeof(type_.type)):
            yield first + i


@takes_program_or_default
def find_alloc_tags(prog: Program, pattern: str) -> Iterator[Object]:
    """
    Iterate over the tags of the kernel and of all loaded modules that match a pattern.

    >>> for tag in find_alloc_tags("labmod.c:1[89]*"):
    ...     print(alloc_tag_counters(tag).calls, alloc_tag_str(tag))
    ...
    1 labmod.c:196 [labmod] func:labmod_krealloc
    0 labmod.c:193 [labmod] func:labmod_krealloc
    1 labmod.c:187 [labmod] func:labmod_mempool
    9 labmod.c:183 [labmod] func:labmod_mempool

    :param pattern: Shell-style wildcard that a file, ``file:line``, function, or module
        matches; with ``file=``, ``function=``, or ``module=`` in front, that alone. ``module=``
        is the kernel itself.
    :return: Iterator of ``struct alloc_tag *`` objects.
    :raises ValueError: if there is another word in front of ``=``
    """
    wanted = Pattern(pattern)
    memory = Memory(prog)
    for span in _ranges(prog):
        sites = named_sites(memory, read_tags(memory, span.start, span.stop))
        for address in sites.address[wanted.matches(sites)].tolist():
            yield Object(prog, "struct alloc_tag *", address)


class AllocTagCounters(NamedTuple):
    """Memory held by a call site, returned by :func:`alloc_tag_counters()`."""

    bytes: int
    """Number of bytes. May be negative if the kernel lost count."""
    calls: int
    """Number of allocations."""


def alloc_tag_counters(tag: Object) -> AllocTagCounters:
    """
    Get how much memory a call site holds, summed over all possible CPUs. This is
    ``alloc_tag_read()`` in the kernel.

    >>> tag = next(find_alloc_tags("function=labmod_kmalloc"))
    >>> alloc_tag_counters(tag)
    AllocTagCounters(bytes=204800, calls=800)

    .. note::

        :func:`alloc_tag_arrays() <allocdump.drgn.helpers.arrays.alloc_tag_arrays>` is many times
        faster for all tags.

    :param tag: ``struct alloc_tag *``
    """
    counters = tag.counters.read_()
    size = calls = 0
    # Tags of modules have no counters where they could not be allocated.
    if counters:
        for cpu in possible_cpus(tag.prog_):
            counter = per_cpu_ptr(counters, cpu)[0].read_()
            # Memory may be freed on another CPU than it was allocated on: only sums modulo 2^64
            # mean something.
            size += counter.bytes.value_()
            calls += counter.calls.value_()
    size %= 1 << 64
    return AllocTagCounters(size - (size >> 63 << 64), calls % (1 << 64))


def alloc_tag_str(tag: Object) -> str:
    """
    Format a call site as ``/proc/allocinfo`` does.

    >>> print(alloc_tag_str(next(for_each_alloc_tag())))
    init/main.c:1423 func:do_initcalls

    Since Linux 6.13, the names of an unloaded module's tags are gone with its memory, and somebody
    else's data may be there. If one of the names is none, all are ``?``:

    >>> print(alloc_tag_str(slab_object_alloc_tag(0xffff9ae48d1c6800)))
    ?:35 [?] func:?

    :param tag: ``struct alloc_tag *``
    """
    ct = tag.ct.read_()
    names = [_name(pointer) for pointer in (ct.filename, ct.modname, ct.function)]
    # Only in the kernel itself is modname NULL. A part of somebody's text can look like a name,
    # but hardly like that of a file, which has a suffix.
    if "." not in (names[0] or "") or None in (names[2], names[1] if ct.modname else ""):
        names = [UNKNOWN] * 3
    file, module, function = names
    in_module = f" [{module}]" if ct.modname else ""
    return f"{file}:{ct.lineno.value_()}{in_module} func:{function}"


def _name(pointer: Object) -> str | None:
    """The string that a pointer points at, if it can be a name."""
    try:
        raw = pointer.prog_.read_c_string(pointer, max_size=_MAX_NAME)
    except FaultError:
        return None
    return raw.decode("ascii") if is_name(raw) else None


def _no_tag(prog: Program) -> Object:
    return NULL(prog, "struct alloc_tag *")


def _tag_of_ref(prog: Program, ref: IntegerLike) -> Object:
    """The tag that a ``union codetag_ref`` refers to: ``ct`` comes first in it."""
    value = operator.index(ref)
    return Object(prog, "struct alloc_tag *", 0 if value == _CODETAG_EMPTY else value)


def page_alloc_tag(page: Object) -> Object:
    """
    Get the tag of the call site that allocated a page.

    >>> page = pfn_to_page(2880)
    >>> print(alloc_tag_str(page_alloc_tag(page)))
    labmod.c:115 [labmod] func:labmod_plain

    .. note::

        Only the first page of an allocation refers to its tag. For a tail page of a
        `compound page <https://lwn.net/Articles/619514/>`__, the head page does; but nothing
        leads from the other pages of a higher-order allocation without ``__GFP_COMP`` to the
        first one, so this returns ``NULL`` for them:

        >>> page_alloc_tag(page + 1)
        (struct alloc_tag *)0x0

    :param page: ``struct page *``
    :return: ``struct alloc_tag *`` (``NULL`` if the page is free, or has no tag)
    """
    prog = page.prog_
    page = compound_head(page)
    # Since Linux kernel commit 4835f747d3ed ("alloc_tag: support for page allocation tag
    # compression") (in v6.13), references may be indexes in the page flags. Otherwise, and before
    # that, they are in the page extension.
    if static_key(prog, "mem_profiling_compressed"):
        index = page_flags(page) >> prog["alloc_tag_ref_offs"] & prog["alloc_tag_ref_mask"]
        return _tag_of_index(prog, index.value_())
    page_ext = _page_ext(page)
    if not page_ext:
        return _no_tag(prog)
    return _tag_of_ref(prog, prog.read_word(page_ext + prog["page_alloc_tagging_ops"].offset))


def _tag_of_index(prog: Program, index: int) -> Object:
    """``idx_to_ref()`` in :linux:`include/linux/pgalloc_tag.h`."""
    if index < _CODETAG_ID_FIRST:
        return _no_tag(prog)
    index -= _CODETAG_ID_FIRST
    kernel_tags = prog["kernel_tags"]
    count = int(kernel_tags.count.value_())
    if index < count:
        return kernel_tags.first_tag + index
    return prog["module_tags"].first_tag + (index - count)


def _page_ext(page: Object) -> int:
    """
    Address of the ``struct page_ext`` of a page, 0 if it has none: ``lookup_page_ext()`` in
    :linux:`mm/page_ext.c` with ``CONFIG_SPARSEMEM``.
    """
    prog = page.prog_
    pfn = page_to_pfn(page).value_()
    nr = pfn >> (prog["SECTION_SIZE_BITS"] - prog["PAGE_SHIFT"]).value_()
    if not 0 <= nr <= prog["__highest_present_section_nr"].value_():
        return 0
    root, index = divmod(nr, prog["SECTIONS_PER_ROOT"].value_())
    sections = prog["mem_section"][root]
    # With CONFIG_SPARSEMEM_EXTREME, roots of absent sections are NULL.
    if not sections:
        return 0
    base = sections[index].page_ext.value_()
    if not base or base & _PAGE_EXT_INVALID:
        return 0
    return int((base + pfn * prog["page_ext_size"].value_()) % (1 << 64))


@takes_program_or_default
def slab_object_alloc_tag(prog: Program, addr: IntegerLike) -> Object:
    """
    Get the tag of the call site that allocated the slab object that an address is in.

    >>> tag = slab_object_alloc_tag(0xffff9ae480872200)
    >>> print(alloc_tag_str(tag))
    labmod.c:73 [labmod] func:labmod_kmalloc
    >>> tag == slab_object_alloc_tag(0xffff9ae480872200 + 100)
    True

    The slab itself was allocated by another call site:

    >>> print(alloc_tag_str(page_alloc_tag(virt_to_page(0xffff9ae480872200))))
    mm/slub.c:3282 func:alloc_slab_page

    :param addr: ``void *``
    :return: ``struct alloc_tag *`` (``NULL`` if *addr* is in no slab object, or the object is
        free or has no tag)
    """
    addr = plain(prog, operator.index(addr))
    if not in_direct_map(prog, addr):
        return _no_tag(prog)
    pagemap = _pagemap(prog)
    pfn = (addr - pagemap.kernel.direct_map) >> pagemap.kernel.page.shift
    frames = pagemap.frames.around(pfn)
    found = pagemap.slabs.find(frames, addr) if frames else None
    if found is None:
        return _no_tag(prog)
    slabs, row, index = found
    if not slabs.vector[row] or not 0 <= index < slabs.objects[row]:
        return _no_tag(prog)
    place = int(slabs.vector[row]) + index * int(slabs.stride[row]) + int(slabs.ref_offset[row])
    return _tag_of_ref(prog, prog.read_word(place))


def _pagemap(prog: Program) -> PageMap:
    """The readers of the commands: kept with a program that does not change."""
    pagemap: PageMap | None = prog.cache.get(_PAGEMAP)
    if pagemap is None:
        pagemap = PageMap(Kernel.of_program(prog), Sites.none())
        if not prog.flags & ProgramFlags.IS_LIVE:
            prog.cache[_PAGEMAP] = pagemap
    return pagemap


@takes_program_or_default
def vmalloc_alloc_tag(prog: Program, addr: IntegerLike) -> Object:
    """
    Get the tag of the call site that allocated the page at an address in vmalloc space.

    >>> print(alloc_tag_str(vmalloc_alloc_tag(0xffffb9f6401eb000)))
    labmod.c:150 [labmod] func:labmod_vmalloc

    This includes the memory of modules and stacks of tasks. Pages that were mapped with
    ``vmap()`` have the tag of whoever allocated them.

    :param addr: ``void *``
    :return: ``struct alloc_tag *`` (``NULL`` if *addr* is in no vmalloc area, nothing is mapped
        there, or the page has no tag)
    """
    addr = plain(prog, operator.index(addr))
    if not find_vmap_area(prog, addr):
        return _no_tag(prog)
    try:
        page = vmalloc_to_page(prog, addr)
    except FaultError:
        return _no_tag(prog)  # the guard page, for one
    return page_alloc_tag(page)


@takes_program_or_default
def percpu_alloc_tag(prog: Program, ptr: IntegerLike) -> Object:
    """
    Get the tag of the call site that allocated the per-CPU object that a pointer is in.

    >>> print(alloc_tag_str(percpu_alloc_tag(0x3f11346ad100)))
    labmod.c:169 [labmod] func:labmod_percpu

    .. note::

        Static per-CPU variables, and objects in the first chunk, which boot makes, have no tag.

    :param ptr: ``void __percpu *``
    :return: ``struct alloc_tag *`` (``NULL`` if *ptr* is in no per-CPU object, or it has no tag)
    """
    addr = (operator.index(ptr) + pointer_base(prog)) % (1 << 64)
    cut = None
    for chunk in chunks(prog):
        if isinstance(chunk, Cut):
            cut = chunk.error
            continue
        offset = addr - chunk.base_addr.value_()
        if 0 <= offset < chunk.nr_pages.value_() * prog["PAGE_SIZE"].value_():
            return _tag_in_chunk(chunk, offset // MIN_ALLOC)
    if cut is not None:
        raise cut
    return _no_tag(prog)


def _tag_in_chunk(chunk: Object, bit: int) -> Object:
    prog = chunk.prog_
    obj_exts = chunk.obj_exts.read_()
    # What the bit is in starts at the last bit up to it that is set here.
    bound_map = int.from_bytes(prog.read(chunk.bound_map, bit // 8 + 1), "little")
    start = (bound_map & (2 << bit) - 1).bit_length() - 1
    if not obj_exts or start < 0:
        return _no_tag(prog)
    # Free memory has no reference.
    return _tag_of_ref(prog, obj_exts[start].tag.ct)


@takes_program_or_default
def address_alloc_tag(prog: Program, addr: IntegerLike) -> Object:
    """
    Get the tag of the call site that allocated the memory at a kernel address, whichever kind of
    memory it is: the slab object, or else the page in the direct map or in vmalloc space.

    >>> for addr in 0xffff9ae480872200, 0xffffb9f6401eb000, find_task(1):
    ...     print(alloc_tag_str(address_alloc_tag(addr)))
    ...
    labmod.c:73 [labmod] func:labmod_kmalloc
    labmod.c:150 [labmod] func:labmod_vmalloc
    kernel/fork.c:194 func:alloc_task_struct_node

    :param addr: ``void *``
    :return: ``struct alloc_tag *`` (``NULL`` if the memory has no tag)
    """
    addr = plain(prog, operator.index(addr))
    if not in_direct_map(prog, addr):
        return vmalloc_alloc_tag(prog, addr)
    if find_containing_slab_cache(prog, addr):
        return slab_object_alloc_tag(prog, addr)
    try:
        return page_alloc_tag(virt_to_page(prog, addr))
    except FaultError:
        return _no_tag(prog)  # no memory
