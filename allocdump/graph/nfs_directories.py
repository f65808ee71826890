# SPDX-License-Identifier: LGPL-2.1-or-later
"""Page cache of NFS directories: it has pointers to the names of their entries.

Mirrors ``struct nfs_cache_array`` in ``fs/nfs/dir.c``. The pages of other files have nothing of
the kernel's.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from drgn import Object, Type

from ..arrays import U64, Bool, Int
from ..kernel.kernel import Kernel
from ..kernel.machine.tmpfs import super_blocks
from ..kernel.tags.sites import Sites
from ..problems import Problem
from .nodes import root_code
from .roots import Tier
from .scan import Scanner

_FILE_SYSTEMS = (b"nfs", b"nfs4")
_S_IFMT, _S_IFDIR = 0o170000, 0o040000
_NAMES = ("__kmemdup_nul", "kmemdup_nul", "nfs_readdir_copy_name")
"""Functions of which one is the site of a name: nfs_readdir_copy_name() and its callees."""


class NfsDirectories:
    """Collects the page cache of the directories of all NFS mounts."""

    def __init__(self, kernel: Kernel) -> None:
        self._prog, self._memory = kernel.prog, kernel.memory
        self.problems: list[Problem] = []
        self._address: list[int] = []
        self._size: list[int] = []

    @cached_property
    def _mounts(self) -> U64:
        """Addresses of the ``struct super_block`` of all NFS mounts."""

        def is_nfs(sb: Object) -> int | None:
            return sb.value_() if sb.s_type.name.string_() in _FILE_SYSTEMS else None

        found = super_blocks(self._prog, is_nfs)
        self.problems += found.problems
        return np.array(found.found, np.uint64)

    @cached_property
    def _places(self) -> tuple[np.uint64, ...]:
        """Offsets of ``mapping->host``, ``inode->i_sb`` and ``inode->i_mode``."""
        return tuple(
            np.uint64(_offset(self._prog.type(f"struct {struct}"), member))
            for struct, member in (
                ("address_space", "host"), ("inode", "i_sb"), ("inode", "i_mode"),
            )
        )  # fmt: skip

    def collect(self, mapping: U64, address: U64, size: Int) -> None:
        """Take those of some folios of the page cache that are of directories of NFS.

        :param mapping: of each folio, shape (n,); *address* in the direct map, *size* in bytes
        """
        if not len(mapping) or not len(self._mounts):
            return
        distinct, which = np.unique(mapping, return_inverse=True)
        wanted = self._of_directories(distinct)[which]
        self._address += address[wanted].tolist()
        self._size += size[wanted].tolist()

    def _of_directories(self, mapping: U64) -> Bool:
        to_host, to_sb, to_mode = self._places
        host, _ = self._memory.words(mapping + to_host)
        sb, _ = self._memory.words(host + to_sb)
        found = np.isin(sb, self._mounts)
        at = host[found] + to_mode
        word, _ = self._memory.words(at & ~np.uint64(7))
        mode = word >> (at % np.uint64(8) * np.uint64(8))
        found[found] = mode & np.uint64(_S_IFMT) == np.uint64(_S_IFDIR)
        return found

    def scan(self, scanner: Scanner, sites: Sites) -> None:
        """Note what the directories point at.

        What of them is not in the dump, as by its level, may hold any of the names that seem
        lost.
        """
        root = root_code(scanner.heap.roots.add("directories of NFS", Tier.OTHER))
        missing = False
        for address, size in zip(self._address, self._size, strict=True):
            at, target, ok = scanner.scan(address, size)
            scanner.links.add(np.full(len(at), root, np.int32), target)
            missing |= not ok[: size // self._memory.page].all()
        if missing:
            name = "page cache of NFS directories that is not in the dump"
            root = root_code(scanner.heap.roots.add(name, Tier.UNPROVEN))
            is_name = np.isin(sites.function, _NAMES)[scanner.heap.nodes.site]
            node = np.flatnonzero(is_name).astype(np.int32)
            scanner.links.add(np.full(len(node), root, np.int32), node)


def _offset(type_: Type, member: str) -> int:
    return int(type_.member(member).bit_offset // 8)
