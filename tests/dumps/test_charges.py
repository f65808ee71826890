# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory cgroups that memory is charged to, against what the cgroups' own files said."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from allocdump.kernel.machine.charged import NOT_CHARGED, UNREADABLE, ChargedCgroups
from allocdump.kernel.mm.page_types import PageKind
from allocdump.session import Session

from ..dumpdata import core, open_core

PAGE = 4096
BATCH = 64 * PAGE
"""MEMCG_CHARGE_BATCH: what a CPU counts before a cgroup's statistics hear of it."""


def memory_stat(core: Path, path: str) -> dict[str, int]:
    """The file memory.stat of a cgroup from just before the crash."""
    lines = (core.parent / "cgroups").read_text().splitlines()
    start = f".{path}/memory.stat:"
    pairs = (line.removeprefix(start).split() for line in lines if line.startswith(start))
    return {name: int(value) for name, value in pairs}


def charged(dump: Session, path: str) -> Counter[str]:
    """Bytes that are charged to a cgroup by kind of page; of slab and per-CPU objects, as
    memory.stat counts them."""
    names = dump.pagemap.charges.cgroups
    out: Counter[str] = Counter()

    def rows(cgroup: np.ndarray) -> np.ndarray:
        return np.array([names.name(row) == path for row in cgroup.tolist()], np.bool_)

    for pages in dump.pages():
        mine = pages.take(rows(pages.cgroup))
        for kind, count in zip(mine.kind.tolist(), mine.pages.tolist(), strict=True):
            out[PageKind(kind).name] += count * PAGE
    for objects in dump.objects():
        mine_too = objects.take(rows(objects.cgroup))
        slab = mine_too.cache >= 0
        # Each has a pointer to its cgroup.
        out["slab"] += int(mine_too.size[slab].sum()) + 8 * int(slab.sum())
        percpu = int(mine_too.size[~slab].sum())
        out["percpu"] += percpu * dump.possible_cpus + percpu // 4 * 8
    return out


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        ("stock-6.12-quiet", "/lab"),
        ("stock-6.1-tmpfs", "/lab"),
        ("stock-7.3-inodes", "/lab"),
        ("stock-7.3-pipes", "/lab"),
    ],
)
def test_charges_are_those_of_memory_stat(folder: str, path: str) -> None:
    """In what a machine that runs out of memory does not go on with."""
    dump, truth = open_core(core(folder)), memory_stat(core(folder), path)
    found = charged(dump, path)
    assert found["ANONYMOUS"] == truth["anon"] > 0
    assert found["PAGE_TABLE"] == truth["pagetables"] > 0
    assert found["percpu"] == truth["percpu"]
    if folder == "stock-6.12-quiet":
        slab = truth["slab_reclaimable"] + truth["slab_unreclaimable"]
        assert abs(found["slab"] - slab) <= BATCH


def test_pages_of_users_are_charged_through_an_obj_cgroup_since_7_1() -> None:
    """Until then, they refer to the cgroup itself."""
    for folder, path in (("7.2-oom-memcg", "/second"), ("6.12-oom-user", "/lab")):
        dump = open_core(core(folder))
        names = dump.pagemap.charges.cgroups
        for pages in dump.pages():
            mine = pages.kind == PageKind.ANONYMOUS
            mine &= [names.name(row) == path for row in pages.cgroup.tolist()]
            if mine.any():
                address = int(pages.address[mine][0])
                assert dump.whois(address).layers[0].detail["memory cgroup"] == path
                break
        else:
            raise AssertionError(folder)


def test_pointers_to_no_cgroup_are_unreadable() -> None:
    dump = open_core(core("7.2-oom-memcg"))
    cgroups = ChargedCgroups(dump.kernel)
    root = dump.prog["root_mem_cgroup"].value_()
    somewhere = dump.prog["init_task"].address_of_().value_()
    words = np.array([0, root, somewhere, 0xDEAD_0000_0000_0100, 8, root], np.uint64)
    found = cgroups.rows(words, objcg=False)
    assert [cgroups.name(row) for row in found.tolist()] == [
        "(not charged)",
        "/",
        *["(unreadable)"] * 3,
        "/",
    ]
    assert found[0] == NOT_CHARGED
    assert set(cgroups.rows(words[2:5], objcg=True).tolist()) == {UNREADABLE}
