# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory cgroups that were removed, and what they are still charged for."""

from __future__ import annotations

import pytest
from drgn import container_of
from drgn.helpers.linux.cgroup import css_for_each_descendant_pre

import allocdump
from allocdump.kernel.machine.cgroups import path_of
from allocdump.kernel.mm.page_types import PageKind
from allocdump.session import Session
from allocdump.session.evidence import investigate
from allocdump.triage.rules.zombies import zombie_cgroups

from ..dumpdata import core, open_core, overwrite, place
from .test_charges import memory_stat

TMPFS = core("stock-6.1-tmpfs")


def removed(path: str) -> Session:
    """The dump of a tmpfs that a task in a cgroup has filled, as if the cgroup were removed."""
    dump = allocdump.open(TMPFS)
    for css in css_for_each_descendant_pre(dump.prog["root_mem_cgroup"].css.address_of_()):
        if path_of(css.cgroup).endswith(path):
            flags = container_of(css, "struct mem_cgroup", "css").css.flags
            offline = flags.value_() & ~int(dump.prog.constant("CSS_ONLINE").value_())
            overwrite(dump.prog, place(flags), offline.to_bytes(4, "little"))
            return dump
    raise AssertionError(path)


def test_what_a_removed_cgroup_still_has() -> None:
    """As much as its statistics said: pages of users, since those of the kernel move on."""
    dump, truth = removed("/lab"), memory_stat(TMPFS, "/lab")
    found = dump.zombies()
    assert found.number == 1
    assert set(found.cgroups) == {"/lab"}
    assert found.kinds[PageKind.ANONYMOUS] == truth["anon"] > 0
    assert found.kinds[PageKind.SHMEM] >= truth["shmem"] > 64 << 20
    case = investigate(dump)
    marked = {row.path: row.removed for row in case.cgroups}
    assert marked.pop("/lab")
    assert not any(marked.values())
    (suspect,) = zombie_cgroups(case)
    assert suspect.cause
    assert suspect.bytes == found.bytes
    assert case.zombies is not None
    assert case.zombies.parents == {"/": found.bytes}
    assert case.zombies.mounts["/scratch"][0] == found.kinds[PageKind.SHMEM]
    assert next(name for name, _ in case.zombies.files).startswith("/scratch/")


@pytest.mark.parametrize("folder", ["stock-6.1-tmpfs", "6.12-oom-user", "7.3-cgroups"])
def test_living_cgroups_are_no_zombies(folder: str) -> None:
    """Of 7.3-cgroups, one was removed: since Linux 7.1, what it had is its parent's."""
    found = open_core(core(folder)).zombies()
    assert (found.bytes, found.number) == (0, 0)
