# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names of files, by what their pages point at."""

from __future__ import annotations

from drgn import Object, Program
from drgn.helpers.linux.fs import dentry_path
from drgn.helpers.linux.list import hlist_for_each_entry, list_for_each_entry

import allocdump
from allocdump.kernel.machine.file_pages import file_path
from tests.dumpdata import core, open_core, overwrite, place


def deep_dentry(prog: Program) -> Object:
    """A name in a folder of a folder."""
    for sb in list_for_each_entry(
        "struct super_block", prog["super_blocks"].address_of_(), "s_list"
    ):
        for inode in list_for_each_entry("struct inode", sb.s_inodes.address_of_(), "i_sb_list"):
            for dentry in hlist_for_each_entry(
                "struct dentry", inode.i_dentry.address_of_(), "d_u.d_alias"
            ):
                above = dentry.d_parent
                if len({place(d[0]) for d in (dentry, above, above.d_parent)}) == 3:
                    return dentry
    raise LookupError("no folder has a folder with a name")


def test_path_of_a_file() -> None:
    dump = open_core(core("6.12-oom-user"))
    dentry = deep_dentry(dump.prog)
    path = file_path(dump.kernel, dentry.d_inode.i_mapping.value_())
    assert path.count("/") >= 1
    assert path.encode() == dentry_path(dentry)


def test_a_path_that_goes_in_circles_is_none() -> None:
    dump = allocdump.open(core("6.12-oom-user"))
    dentry = deep_dentry(dump.prog)
    mapping = dentry.d_inode.i_mapping.value_()
    overwrite(dump.prog, place(dentry.d_parent.d_parent), dentry.value_().to_bytes(8, "little"))
    assert file_path(dump.kernel, mapping) == ""
