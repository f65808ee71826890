# SPDX-License-Identifier: LGPL-2.1-or-later
"""vmalloc areas.

Mirrors ``struct vm_struct`` in ``include/linux/vmalloc.h`` and ``mm/vmalloc.c``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from drgn import Object, ObjectAbsentError, Program
from drgn.helpers.linux.mm import find_vmap_area

from ...arch.base import page_size
from ...arch.known import plain
from ...text import printable
from ..layouts import VmapAreas
from ..walk import (
    Cut,
    ReadErrors,
    Walked,
    bounded_count,
    list_entries,
    structure,
    tree_entries,
    walk,
)

_KINDS = {0x1: "ioremap", 0x2: "vmalloc", 0x4: "vmap", 0x8: "user mapping"}
"""VM_IOREMAP, VM_ALLOC, VM_MAP, VM_USERMAP"""

_MOST_NODES = 128
"""``vmap_init_nodes()`` makes no more."""
_LARGEST = 1 << 54
"""Bytes of vmalloc space: 12,800 TiB on x86-64 with five levels, and less elsewhere."""

_AREAS = structure("the tree of vmalloc areas", "vmalloc area")
_UNUSED = structure("lists of unused vmalloc space", "range of unused vmalloc space", many=True)


@dataclass(frozen=True)
class VmArea:
    """A ``struct vm_struct``: a range of vmalloc space."""

    start: int
    size: int
    """Guard page included."""
    kind: str
    pages: int
    page_array: int
    """Address of the array of its ``struct page *``; 0 without."""
    caller: int
    """Address in the code that asked for it."""
    vm_struct: int
    """Address of the ``struct vm_struct``."""
    vmap_area: int
    """Address of the ``struct vmap_area``."""


def vm_areas(prog: Program) -> Walked[VmArea]:
    """All areas that have a ``struct vm_struct``."""
    return walk(prog, _AREAS, lambda: _vmap_areas(prog), _area)


def _vmap_areas(prog: Program) -> Iterator[Object | Cut]:
    """Steps through all ``struct vmap_area``."""
    if VmapAreas.detect(prog) is VmapAreas.GLOBAL:
        head, root = (prog[f"vmap_area_{n}"].address_of_() for n in ("list", "root"))
        yield from _of_node(head, root)
        return
    nodes, count = _nodes(prog)
    for i in range(count):
        busy = nodes[i].busy
        yield from _of_node(busy.head.address_of_(), busy.root.address_of_())


def _nodes(prog: Program) -> tuple[Object, int]:
    try:
        nodes = prog["vmap_nodes"].read_()
        return nodes, bounded_count(prog["nr_vmap_nodes"].value_(), _MOST_NODES, "nr_vmap_nodes")
    except ObjectAbsentError:
        # Kernels for one CPU have a single node, of which compilers leave no more than that.
        return prog.variable("single", "mm/vmalloc.c").address_of_(), 1


def _of_node(head: Object, root: Object) -> Iterator[Object | Cut]:
    """Areas on a list; many lie on one page. Where it is missing, the tree has ways round it."""
    seen = set()
    for area in list_entries("struct vmap_area", head, "list"):
        yield area
        seen.add(None if isinstance(area, Cut) else area.value_())
    if None in seen:
        for area in tree_entries("struct vmap_area", root, "rb_node"):
            if isinstance(area, Cut) or area.value_() not in seen:
                yield area


def unused_ranges(prog: Program) -> Walked[int]:
    """Addresses of each ``struct vmap_area`` that is a range of free vmalloc space, or of one that
    is about to be: it says what lies around areas, and holds none."""
    return walk(prog, _UNUSED, lambda: _unused(prog), lambda area: int(area.value_()))


def _unused(prog: Program) -> Iterator[Object | Cut]:
    heads = []
    for name in ("free_vmap_area_list", "purge_vmap_area_list"):  # the latter until Linux 6.8
        with suppress(LookupError):
            heads.append(prog[name].address_of_())
    if VmapAreas.detect(prog) is not VmapAreas.GLOBAL:
        heads += _heads_of_nodes(prog)
    for head in heads:
        yield from list_entries("struct vmap_area", head, "list")


def _heads_of_nodes(prog: Program) -> Iterator[Object]:
    """Lists of what nodes keep for later, and of what they have still to unmap."""
    nodes, count = _nodes(prog)
    for i in range(count):
        node = nodes[i]
        yield from (pool.head.address_of_() for pool in node.pool)
        yield node.lazy.head.address_of_()
        yield node.purge_list.address_of_()


def vm_area(prog: Program, address: int) -> VmArea | None:
    """The area that an address lies in; None if there is none, or it is unreadable."""
    try:
        area = find_vmap_area(prog, address)
        return _area(area) if area else None
    except ReadErrors:
        # The lists have what a damaged tree, or one that drgn does not know, does not lead to.
        around = (a for a in vm_areas(prog) if a.start <= address < a.start + a.size)
        return next(around, None)


def _area(area: Object) -> VmArea | None:
    pointer = area.vm.read_()
    if not pointer:
        return None
    prog, vm = area.prog_, pointer[0].read_()
    flags, size = vm.flags.value_(), vm.size.value_()
    if size > _LARGEST:
        raise ValueError("its size is damaged")
    return VmArea(
        area.va_start.value_(),  # vm->addr may have a tag
        size,
        next((name for bit, name in _KINDS.items() if flags & bit), "area"),
        min(vm.nr_pages.value_(), size >> page_size(prog).shift),
        plain(prog, vm.pages.value_()),
        vm.caller.value_(),
        plain(prog, pointer.value_()),
        plain(prog, area.value_()),
    )


def symbol(prog: Program, address: int) -> str:
    """``function+0x12`` of an address in the kernel itself; empty if there is none."""
    try:
        found = prog.symbol(address)
    except LookupError:
        return ""
    return f"{printable(found.name.encode())}+{address - found.address:#x}"
