# SPDX-License-Identifier: LGPL-2.1-or-later
"""Uses of memory that some call sites stand for, by their functions."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A use of memory that a site of the kernel itself stands for."""

    NONE = ""
    SLAB = "slab pages"
    PERCPU = "per-CPU pages"
    KFENCE = "KFENCE pages"
    STACK = "kernel stacks"
    PAGE_EXT = "page extensions"
    SLAB_EXT = "slab extension vectors"
    TAGS = "module tags"
    DEVICE_TABLE = "page tables of devices"
    GPU = "pages of graphics drivers"

    @property
    def backing(self) -> bool:
        """True of pages that are divided into objects which have sites of their own.

        The kernel counts memory by pages (``pgalloc_tag_add()``), by slab objects
        (``alloc_tagging_slab_alloc_hook()``) and by per-CPU objects
        (``pcpu_alloc_tag_alloc_hook()``), and by nothing else. So these are the pages whose
        bytes it counts twice; whatever else is divided up, such as zsmalloc's pages, is
        counted where its pages were allocated, and only there.
        """
        return self in _BACKING


_BACKING = frozenset({Role.SLAB, Role.PERCPU, Role.KFENCE})

_FUNCTIONS = {
    "alloc_slab_page": ("mm/slub.c", Role.SLAB),
    "pcpu_alloc_pages": ("mm/percpu-vm.c", Role.PERCPU),
    "pcpu_create_chunk": ("mm/percpu-km.c", Role.PERCPU),
    # A pool from boot has no site; this one is made when KFENCE is switched on later.
    "kfence_init_late": ("mm/kfence/core.c", Role.KFENCE),
    "alloc_thread_stack_node": ("kernel/fork.c", Role.STACK),
    # Stacks of interrupts and firmware events, on arm64.
    "arch_alloc_vmap_stack": ("asm/vmap_stack.h", Role.STACK),
    "alloc_page_ext": ("mm/page_ext.c", Role.PAGE_EXT),
    "alloc_slab_obj_exts": ("mm/slub.c", Role.SLAB_EXT),
    "vm_module_tags_populate": ("alloc_tag.c", Role.TAGS),  # in lib/; in mm/ since 7.3
    "iommu_alloc_pages_node_sz": ("drivers/iommu/iommu-pages.c", Role.DEVICE_TABLE),
    # Functions of a header, until Linux 6.15.
    "__iommu_alloc_pages": ("drivers/iommu/iommu-pages.h", Role.DEVICE_TABLE),
    "iommu_alloc_pages_node": ("drivers/iommu/iommu-pages.h", Role.DEVICE_TABLE),
    "ttm_pool_alloc_page": ("drivers/gpu/drm/ttm/ttm_pool.c", Role.GPU),
}
_OF_MODULES = frozenset({Role.DEVICE_TABLE, Role.GPU})
"""Roles of code that is also built as a module."""

PERCPU_VECTOR_SITE = "pcpu_mem_zalloc"
"""Function that allocates extension vectors of per-CPU chunks, among other things."""


def role(file: str, function: str, module: str) -> Role:
    """The role of a site; those of modules have few.

    :param file: as the compiler was told: ``mm/slub.c``, or a longer path
    """
    where, found = _FUNCTIONS.get(function, ("", Role.NONE))
    if module and found not in _OF_MODULES:
        return Role.NONE
    return found if f"/{file}".endswith(f"/{where}") else Role.NONE
