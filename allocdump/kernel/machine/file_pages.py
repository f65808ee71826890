# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files that pages of the page cache belong to, by what the pages point at.

Mirrors ``struct address_space`` in ``include/linux/fs.h``, and ``dentry_path()`` in
``fs/d_path.c``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from drgn import Object, offsetof
from drgn.helpers.linux.list import hlist_empty

from ...arrays import U64
from ...text import printable
from ..kernel import Kernel
from ..walk import ReadErrors, structure, walk
from .tmpfs import mount_name

_PATH = structure("the path of a file", "part of a file's path", "parts of a file's path")


def mounts_of(kernel: Kernel, mappings: U64) -> list[str]:
    """Mounts of the files that ``struct address_space`` at some addresses belong to; empty where
    nothing tells."""
    memory, prog = kernel.counting_holes().memory, kernel.prog
    host = offsetof(prog.type("struct address_space"), "host")
    block = offsetof(prog.type("struct inode"), "i_sb")
    inodes, _ = memory.words(mappings + np.uint64(host))
    blocks, _ = memory.words(inodes + np.uint64(block))
    found, where = np.unique(blocks, return_inverse=True)
    names = [_mount(kernel, address) for address in found.tolist()]
    return [names[i] for i in where.reshape(-1).tolist()]


def _mount(kernel: Kernel, address: int) -> str:
    try:
        return mount_name(Object(kernel.prog, "struct super_block *", address), [])
    except ReadErrors:
        return ""


def file_path(kernel: Kernel, mapping: int) -> str:
    """Path of a file below its mount; empty if it has no name any more, or nothing tells."""
    try:
        inode = Object(kernel.prog, "struct address_space *", mapping).host
        names = inode.i_dentry
        if hlist_empty(names.address_of_()):
            return ""
        first = names.first.value_()
        first -= offsetof(kernel.prog.type("struct dentry"), "d_u.d_alias")
        dentry = Object(kernel.prog, "struct dentry *", first)
    except ReadErrors:
        return ""
    parts = walk(
        kernel.prog, _PATH, lambda: _upwards(dentry), lambda step: step.d_name.name.string_()
    )
    return "" if parts.problems else printable(b"/".join(reversed(parts.found)))


def _upwards(dentry: Object) -> Iterator[Object]:
    """Steps from a file to the root of its file system, which has no name."""
    while dentry != dentry.d_parent:
        yield dentry
        dentry = dentry.d_parent.read_()
