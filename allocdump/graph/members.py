# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names of structure members at given offsets."""

from __future__ import annotations

from drgn import Program, Type, TypeKind, sizeof

_TYPES = {
    "files_cache": "files_struct",
    "filp": "file",
    "kernfs_node_cache": "kernfs_node",
    "radix_tree_node": "xa_node",
    "sighand_cache": "sighand_struct",
    "signal_cache": "signal_struct",
    "cred_jar": "cred",
    "inode_cache": "inode",
    "proc_inode_cache": "proc_inode",
    "shmem_inode_cache": "shmem_inode_info",
    "sock_inode_cache": "socket_alloc sockfs_inode",
}
"""Caches that are not named after the structure in them (``kmem_cache_create()`` calls). Of
several, it depends on the kernel which it is."""

_MAX_DEPTH = 16


def cache_type(prog: Program, cache: str, size: int) -> Type | None:
    """The structure that objects of a slab cache are; None if nothing tells.

    :param size: ``object_size`` of the cache
    """
    found = [_size_and_type(prog, tag) for tag in _TYPES.get(cache, cache).split()]
    # A cache is as large as its structure; constructors and alignment may want more.
    fitting = [(known, type_) for known, type_ in found if type_ and known <= size]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def _size_and_type(prog: Program, tag: str) -> tuple[int, Type | None]:
    try:
        type_ = prog.type(f"struct {tag}")
    except (LookupError, SyntaxError):
        return 0, None
    return (0, None) if type_.size is None else (sizeof(type_), type_)


def member_at(type_: Type, offset: int) -> str:
    """``.children.next``, ``[3].first`` for an offset in bytes; empty if there is none."""
    name = ""
    for _ in range(_MAX_DEPTH):
        while type_.kind == TypeKind.TYPEDEF:
            type_ = type_.type
        if type_.kind == TypeKind.ARRAY:
            each = sizeof(type_.type)
            if not each:
                return name
            name, offset, type_ = f"{name}[{offset // each}]", offset % each, type_.type
            continue
        if type_.kind not in (TypeKind.STRUCT, TypeKind.UNION) or not type_.members:
            return name
        for member in type_.members:
            at = member.bit_offset // 8
            try:
                inside = at <= offset < at + sizeof(member.type)
            except TypeError:
                inside = at <= offset  # a flexible array member
            if inside:
                break
        else:
            return name
        if member.name:
            name += f".{member.name}"
        offset, type_ = offset - at, member.type
    return name
