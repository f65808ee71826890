# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files in memory: tmpfs, and shared memory without a name.

Mirrors ``struct shmem_inode_info`` in ``include/linux/shmem_fs.h`` and ``mm/shmem.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from drgn import Object, Program, container_of
from drgn.helpers.linux.fs import super_block_for_each_mount

from ...arch.base import page_size
from ...problems import Code, Problem
from ...text import printable
from ..kernel import Kernel
from ..layouts import TmpfsInodes
from ..walk import ReadErrors, Walked, list_entries, structure, walk

T = TypeVar("T")

_SB_KERNMOUNT = 1 << 22
_SUPER_BLOCKS = structure("the list of file systems", "file system", most=1 << 16)
_FILES = structure("the list of files of a tmpfs", "file of a tmpfs", "files of a tmpfs")
_PATH = structure("the path of a mount", "part of a mount's path", "parts of a mount's path")
_MAX_INODES = 100_000
"""Their list is walked one by one: more would take more than a second or two."""
_INODE_SPACE = 1024
"""BOGO_INODE_SIZE in mm/shmem.c"""

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
    problems: list[Problem] = field(default_factory=list)


def super_blocks(prog: Program, read: Callable[[Object], T | None]) -> Walked[T]:
    """Results of *read* of all file systems in use, but None, and what was unreadable."""
    return walk(
        prog,
        _SUPER_BLOCKS,
        lambda: list_entries("struct super_block", prog["super_blocks"].address_of_(), "s_list"),
        read,
    )


def tmpfs_mounts(kernel: Kernel) -> TmpfsMounts:
    """Read all file systems whose operations are those of tmpfs."""
    prog, account = kernel.prog, kernel.layouts[TmpfsInodes]

    def mount(sb: Object) -> tuple[Tmpfs, list[Problem]] | None:
        is_tmpfs = sb.s_op.value_() == prog.symbol("shmem_ops").address
        return _mount(sb, account) if is_tmpfs else None

    walked = super_blocks(prog, mount)
    mounts = sorted((m for m, _ in walked), key=lambda mount: -(mount.bytes + mount.swapped))
    problems = [problem for _, some in walked for problem in some]
    return TmpfsMounts(mounts, problems + walked.problems)


def _mount(sb: Object, account: TmpfsInodes) -> tuple[Tmpfs, list[Problem]]:
    """A tmpfs, and what of it was unreadable."""
    problems: list[Problem] = []
    name, inodes = mount_name(sb, problems), sb.s_inodes.address_of_()
    files = walk(
        sb.prog_,
        replace(
            _FILES,
            name=f"the list of files of tmpfs {name}",
            entry=f"file of tmpfs {name}",
            entries=f"files of tmpfs {name}",
        ),
        lambda: islice(list_entries("struct inode", inodes, "i_sb_list"), _MAX_INODES + 1),
        _size,
    )
    problems += files.problems
    sizes = files.found[:_MAX_INODES]
    count = len(sizes)
    if count < len(files):
        subject = f"only the sizes of the first {_MAX_INODES:,} files of tmpfs {name} are counted"
        problems.append(Problem(Code.LIMITED, subject))
    if count < len(files) or files.problems:
        count = max(count, _counted(sb, account))
    pages, swapped = (sum(size[i] for size in sizes) * page_size(sb.prog_).bytes for i in range(2))
    return Tmpfs(name, count, pages, swapped), problems


def _counted(sb: Object, account: TmpfsInodes) -> int:
    """Inodes by the file system's own account, with extra links to them; 0 if it has none.

    Mirrors ``shmem_statfs()``.
    """
    with suppress(*ReadErrors):
        info = Object(sb.prog_, "struct shmem_sb_info *", sb.s_fs_info.value_())[0].read_()
        if not info.max_inodes.value_():
            return 0
        if account is TmpfsInodes.SPACE:
            free = info.free_ispace.value_() // _INODE_SPACE
        else:
            free = info.free_inodes.value_()
        return max(int(info.max_inodes.value_() - free), 0)
    return 0


def _size(inode: Object) -> tuple[int, int]:
    """Pages of an inode in memory and in swap."""
    info = container_of(inode, "struct shmem_inode_info", "vfs_inode")
    return inode.i_data.nrpages.value_(), info.swapped.value_()


def mount_name(sb: Object, problems: list[Problem]) -> str:
    """The first mount point of a file system; its ``s_id`` where nothing tells."""
    if sb.s_flags.value_() & _SB_KERNMOUNT:
        return INTERNAL
    with suppress(StopIteration, *ReadErrors):
        # The initramfs has several mounts, and all are the root.
        mount = next(iter(super_block_for_each_mount(sb)))
        names = walk(sb.prog_, _PATH, lambda: _upwards(mount), _path_name)
        if not names.problems:
            return printable(b"/" + b"/".join(reversed(names.found)))
        problems += names.problems
    return printable(sb.s_id.string_())


def _upwards(mount: Object) -> Iterator[Object]:
    """Steps through mounts and the directories that they are mounted below.

    Mirrors ``prepend_path()`` in ``fs/d_path.c``.
    """
    while True:
        yield mount
        parent, dentry = mount.mnt_parent.read_(), mount.mnt_mountpoint.read_()
        if parent == mount:
            return
        while dentry != parent.mnt.mnt_root and dentry != dentry.d_parent:
            yield dentry
            dentry = dentry.d_parent.read_()
        mount = parent


def _path_name(step: Object) -> bytes | None:
    return None if step.type_.type.tag == "mount" else bytes(step.d_name.name.string_())
