# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files in memory: tmpfs, and shared memory without a name.

Mirrors ``struct shmem_inode_info`` in ``include/linux/shmem_fs.h`` and ``mm/shmem.c``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from drgn import Object, Program, container_of
from drgn.helpers.linux.fs import mount_dst, super_block_for_each_mount
from drgn.helpers.linux.list import list_for_each_entry

from ...text import printable
from ..walk import ReadErrors

_SB_KERNMOUNT = 1 << 22
_MAX_SUPER_BLOCKS = 1 << 16
_MAX_INODES = 100_000
"""Their list is walked one by one: more would take more than a second or two."""
_PAGE = 4096

INTERNAL = "(shared mappings, memfd, SysV)"
"""The kernel's own mount, for files without a name."""


@dataclass(frozen=True)
class Tmpfs:
    """A file system in memory; sizes in bytes."""

    mount: str
    """Its first mount point; :data:`INTERNAL` for the kernel's own."""
    files: int
    """Inodes, directories included."""
    bytes: int
    """In memory."""
    swapped: int


@dataclass
class TmpfsMounts:
    """All that are in use, largest first, as far as could be read."""

    mounts: list[Tmpfs] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def tmpfs_mounts(prog: Program) -> TmpfsMounts:
    """Read all file systems whose operations are those of tmpfs."""
    out = TmpfsMounts()
    try:
        operations = prog.symbol("shmem_ops").address
        for sb in _super_blocks(prog):
            if sb.s_op.value_() == operations:
                out.mounts.append(_mount(sb, out.problems))
    except ReadErrors as e:
        out.problems.append(f"the list of file systems is damaged: {e}")
    out.mounts.sort(key=lambda mount: -(mount.bytes + mount.swapped))
    return out


def _super_blocks(prog: Program) -> Iterator[Object]:
    blocks = list_for_each_entry("struct super_block", prog["super_blocks"].address_of_(), "s_list")
    for count, sb in enumerate(blocks):
        if count > _MAX_SUPER_BLOCKS:
            raise ValueError("it goes in circles")
        yield sb


def _mount(sb: Object, problems: list[str]) -> Tmpfs:
    name = _name(sb)
    pages = swapped = files = 0
    try:
        for inode in list_for_each_entry("struct inode", sb.s_inodes.address_of_(), "i_sb_list"):
            if files == _MAX_INODES:
                problems.append(f"only the first {files:,} files of tmpfs {name} are counted")
                break
            pages += inode.i_data.nrpages.value_()
            info = container_of(inode, "struct shmem_inode_info", "vfs_inode")
            swapped += info.swapped.value_()
            files += 1
    except ReadErrors as e:
        problems.append(f"the list of files of tmpfs {name} is damaged: {e}")
    return Tmpfs(name, files, pages * _PAGE, swapped * _PAGE)


def _name(sb: Object) -> str:
    if sb.s_flags.value_() & _SB_KERNMOUNT:
        return INTERNAL
    with suppress(*ReadErrors):
        # The initramfs has several mounts, and all are the root.
        for mount in super_block_for_each_mount(sb):
            return printable(mount_dst(mount))
    return printable(sb.s_id.string_())
