# SPDX-License-Identifier: LGPL-2.1-or-later
"""Uses of memory that some call sites stand for, by their functions."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A use of memory that a site of the kernel itself stands for."""

    NONE = ""
    STACK = "kernel stacks"
    PERCPU = "per-CPU memory"
    PAGE_EXT = "page extensions"
    SLAB_EXT = "slab extension vectors"
    TAGS = "module tags"


_FUNCTIONS = {
    "alloc_thread_stack_node": Role.STACK,  # kernel/fork.c
    "pcpu_alloc_pages": Role.PERCPU,  # mm/percpu-vm.c
    "alloc_page_ext": Role.PAGE_EXT,  # mm/page_ext.c
    "alloc_slab_obj_exts": Role.SLAB_EXT,  # mm/slub.c
    "vm_module_tags_populate": Role.TAGS,  # lib/alloc_tag.c
}

PERCPU_VECTOR_SITE = "pcpu_mem_zalloc"
"""Function that allocates extension vectors of per-CPU chunks, among other things."""


def role(function: str, module: str) -> Role:
    """The role of a site; modules have none."""
    return Role.NONE if module else _FUNCTIONS.get(function, Role.NONE)
