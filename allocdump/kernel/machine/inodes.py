# SPDX-License-Identifier: LGPL-2.1-or-later
"""Inodes and dentries, many at once: which of them the kernel could give back.

A dentry that nobody uses can go, and with its last dentry an inode that nobody else has. Mirrors
``dentry_lru_isolate()`` in ``fs/dcache.c`` and ``inode_lru_isolate()`` in ``fs/inode.c``. A
reference of an inode's own is that of a watch (``struct fsnotify_mark_connector``), or of whoever
else asked for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from drgn import Object, offsetof

from ...arch.known import plain
from ...arrays import U64, Bool, Int
from ..kernel import Kernel
from .tmpfs import super_blocks

Neighbors = Callable[[int], tuple[str, int, U64]]
"""The slab cache that an address is in: its name, bytes from the start of an object to that
address, and the addresses of all its objects."""
_DEPTH = 1000
"""A path is no longer: PATH_MAX is 4096."""


@dataclass
class Pins:
    """Inodes and dentries that are in use."""

    inodes: int = 0
    """All there are."""
    pinned: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By slab cache: objects that cannot be given back, and all objects."""
    watched: dict[int, int] = field(default_factory=dict)
    """Number of inodes by the group that watches them (``struct fsnotify_group``), most first."""
    only_watched: int = 0
    """Number of these that a watch alone keeps: others are open, say, or files of a tmpfs."""


def pins(kernel: Kernel, neighbors: Neighbors) -> Pins:
    """Judge all inodes and dentries of all file systems, as far as can be read."""
    prog = kernel.prog
    found = super_blocks(prog, _samples)
    roots = [root for root, _ in found if root]
    out = Pins()
    if not roots:
        return out
    dentry_cache, offset, objects = neighbors(roots[0])
    dentries = np.sort(objects) + np.uint64(offset)
    inode_of, pinned = _dentries(kernel, dentries)
    out.pinned[dentry_cache] = int(np.count_nonzero(pinned)), len(dentries)
    caches: dict[str, U64] = {}
    for _, first in found:
        if first:
            name, offset, objects = neighbors(first)
            if name not in caches:
                caches[name] = np.sort(objects) + np.uint64(offset)
    for name, inodes in caches.items():
        busy, watched, only = _inodes(kernel, inodes, inode_of, pinned)
        out.only_watched += int(np.count_nonzero(only))
        out.inodes += len(inodes)
        before, total = out.pinned.get(name, (0, 0))
        out.pinned[name] = before + int(np.count_nonzero(busy)), total + len(inodes)
        for group, count in zip(
            *np.unique(_groups(kernel, inodes[watched]), return_counts=True), strict=True
        ):
            out.watched[int(group)] = out.watched.get(int(group), 0) + int(count)
    out.watched = dict(sorted(out.watched.items(), key=lambda item: -item[1]))
    return out


def _samples(sb: Object) -> tuple[int, int] | None:
    """Addresses of the root dentry and of one inode of a file system; 0 for none."""
    head = sb.s_inodes.address_of_()
    prog = sb.prog_
    first = plain(prog, head.next.value_())
    empty = first == plain(prog, head.value_())
    member = offsetof(prog.type("struct inode"), "i_sb_list")
    inode = 0 if empty else (first - member) % (1 << 64)
    return plain(prog, sb.s_root.value_()), inode


def _dentries(kernel: Kernel, dentries: U64) -> tuple[U64, Bool]:
    """The inode of each dentry, and whether it is in use: itself, or what is below it.

    :param dentries: ascending
    """
    type_, memory = kernel.prog.type("struct dentry"), kernel.memory
    parent, _ = memory.words(dentries + np.uint64(offsetof(type_, "d_parent")))
    inode, _ = memory.words(dentries + np.uint64(offsetof(type_, "d_inode")))
    count, ok = memory.u32(dentries + np.uint64(offsetof(type_, "d_lockref.count")))
    parent, inode = kernel.arch.untag(parent), kernel.arch.untag(inode)
    above = _index(dentries, np.where(parent == dentries, 0, parent).astype(np.uint64))
    children = np.bincount(above[above >= 0], minlength=len(dentries))
    # Each child counts as a use of its parent.
    used = ~ok | (count.view(np.int32).astype(np.int64) > children)
    for _ in range(_DEPTH):
        over = np.unique(above[used & (above >= 0)])
        if used[over].all():
            break
        used[over] = True
    return inode, used


def _inodes(kernel: Kernel, inodes: U64, inode_of: U64, pinned: Bool) -> tuple[Bool, Bool, Bool]:
    """Whether each inode is in use, whether it is watched, and whether that is its only use."""
    type_, memory = kernel.prog.type("struct inode"), kernel.memory
    count, ok = memory.u32(inodes + np.uint64(offsetof(type_, "i_count")))
    row = _index(inodes, inode_of)
    names = np.bincount(row[row >= 0], minlength=len(inodes))
    in_use = np.zeros(len(inodes), np.bool_)
    in_use[row[(row >= 0) & pinned]] = True
    own = count.view(np.int32).astype(np.int64) - names
    try:
        marks, _ = memory.words(inodes + np.uint64(offsetof(type_, "i_fsnotify_marks")))
    except LookupError:
        marks = np.zeros(len(inodes), np.uint64)
    busy = ~ok | in_use | (own > 0)
    watched = busy & (marks != 0)
    return busy, watched, watched & ~in_use & (own == 1)


def _groups(kernel: Kernel, inodes: U64) -> U64:
    """The group of the first mark of each watched inode."""
    prog, memory = kernel.prog, kernel.memory
    try:
        connector, mark = (
            prog.type("struct fsnotify_mark_connector"),
            prog.type("struct fsnotify_mark"),
        )
        steps = (
            offsetof(prog.type("struct inode"), "i_fsnotify_marks"),
            offsetof(connector, "list.first"),
            offsetof(mark, "group") - offsetof(mark, "obj_list"),
        )
    except LookupError:
        return np.zeros(0, np.uint64)
    at = inodes
    for step in steps:
        found, ok = memory.words(at + np.uint64(step % (1 << 64)))
        at = kernel.arch.untag(found[ok & (found != 0)])
    return at


def _index(sorted_: U64, wanted: U64) -> Int:
    """Rows of values in an ascending column; -1 for those that are not there."""
    if not len(sorted_):
        return np.full(len(wanted), -1, np.int64)
    row = np.minimum(np.searchsorted(sorted_, wanted), len(sorted_) - 1)
    return np.where(sorted_[row] == wanted, row, -1)
