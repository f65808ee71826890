# SPDX-License-Identifier: LGPL-2.1-or-later
"""Triage of kernels as distributions ship them, without a profile: the right verdict or none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from drgn import Program

import allocdump
from allocdump.kernel.layouts import PageTypes, UnknownLayoutError
from allocdump.kernel.machine.open_files import open_files
from allocdump.kernel.machine.tasks import tasks
from allocdump.session.evidence import investigate
from allocdump.triage.shortage import Shortage, shortage
from allocdump.triage.verdict import Triage
from allocdump.view.sentence import text

from ..dumpdata import STOCK_CORES, core, made, name, open_core

SAID = re.compile(r"^/proc/(\d+)/status:(Rss\w+):\s+(\d+) kB$", re.MULTILINE)
QUIET = [path for path in STOCK_CORES if "quiet" in made(path)["scenario"]]
SHORT = [path for path in STOCK_CORES if path not in QUIET]


def triage(folder: str) -> Triage:
    return open_core(core(folder)).triage()


@pytest.mark.parametrize("path", QUIET, ids=name)
def test_a_machine_that_was_well(path: Path) -> None:
    page = open_core(path).triage()
    assert not any(suspect.cause for suspect in page.suspects)
    assert text(page.verdict).startswith("memory was not short: ")


@pytest.mark.parametrize("path", SHORT, ids=name)
def test_the_machine_was_out_of_memory(path: Path) -> None:
    """A little was left in ZONE_DMA, which is no memory elsewhere."""
    assert shortage(investigate(open_core(path))) == Shortage.MACHINE


def test_inodes() -> None:
    """A task made empty files on /scratch until memory was full."""
    page = triage("stock-7.3-inodes")
    (first,) = page.suspects
    assert (first.rule, first.confidence.words, first.cause) == (
        "large_caches",
        "very likely",
        True,
    )
    assert text(page.verdict) == (
        "SLAB CACHE shmem_inode_cache and 2 caches that go with it: 48.1 MiB in 50,351 objects,"
        " 60.6% of memory. Very likely."
    )
    assert [text(sentence) for sentence in first.evidence] == [
        "as many objects are in dentry: 51,017 objects, 9.51 MiB",
        "as many objects are in lsm_inode_cache or blkdev_ioc: 51,049 objects, 4.34 MiB",
        "together 48.1 MiB, 60.6% of memory",
        "51,017 of 51,017 objects of dentry cannot be given back: somebody uses them",
        "most files in memory: tmpfs /scratch, 49,932 files",
        "memory cgroup with most: /lab, 43.2 MiB",
    ]


@pytest.mark.parametrize(
    ("folder", "title"),
    [
        ("stock-7.3-pipes", "PIPES of task culprit (pid 113): 64.7 MiB in 503 pipes, 67.9%"),
        ("stock-6.12-sockets", "SOCKETS of task culprit (pid 155): 61.8 MiB in 558 sockets, 72.5%"),
    ],
)
def test_pipes_and_sockets(folder: str, title: str) -> None:
    """A task wrote into them, and read nothing."""
    page = triage(folder)
    (first,) = page.suspects
    assert (first.rule, first.confidence.words, first.cause) == ("open_files", "very likely", True)
    assert text(page.verdict) == f"{title} of memory. Very likely."


@pytest.mark.parametrize("path", STOCK_CORES, ids=name)
def test_files_are_of_tasks(path: Path) -> None:
    """Each kind has a name, and the kinds are all files."""
    case = investigate(open_core(path))
    assert {one.pid for one in case.files} <= {task.pid for task in case.tasks}
    for one in case.files:
        assert sum(one.kinds.values()) == one.files
        assert "?" not in one.kinds


def test_pipes_hold_what_was_written() -> None:
    """Each has 128 KiB, and keeps pages for the next writer."""
    found = open_files(open_core(core("stock-7.3-pipes")).kernel)
    assert not found.problems
    first, *others = found.files
    assert first.kinds == {"pipeanon": 2 * first.pipes}
    assert 503 * (128 << 10) <= first.pipe_bytes <= 503 * (160 << 10)
    assert not any(one.bytes for one in others)


def test_sockets_have_protocols() -> None:
    found = open_files(open_core(core("stock-6.12-sockets")).kernel)
    first = found.files[0]
    # It made pairs of streams and pairs of datagrams in turn.
    assert set(first.protocols) == {"UNIX-STREAM", "UNIX"}
    assert sum(first.protocols.values()) == first.sockets
    assert abs(first.protocols["UNIX"] - first.protocols["UNIX-STREAM"]) <= 2
    assert not any("?" in one.protocols for one in found.files)


def test_tmpfs() -> None:
    """A task filled a file on /scratch."""
    page = triage("stock-6.1-tmpfs")
    (first,) = page.suspects
    assert (first.rule, first.confidence.words, first.cause) == ("user_memory", "very likely", True)
    assert "files in tmpfs /scratch with 109 MiB" in text(page.verdict)


def test_tmpfs_where_memory_is_not_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a kernel whose types of pages nobody knows: the mounts tell all the same."""
    dump = allocdump.open(core("stock-6.1-tmpfs"))
    monkeypatch.setattr(PageTypes, "detect", classmethod(_unknown))
    (first,) = dump.triage().suspects
    assert (first.rule, first.confidence.words, first.cause) == ("user_memory", "likely", True)
    assert text(first.title) == "USER MEMORY, files in tmpfs /scratch: 109 MiB, 78.6% of memory"


def _unknown(cls: type[PageTypes], prog: Program) -> None:
    raise UnknownLayoutError(f"{cls.structure()}: new")


def test_memory_of_6_1_is_accounted_for() -> None:
    """Types of pages that are macros, slabs by their flag, orders in a member of their own."""
    dump = open_core(core("stock-6.1-tmpfs"))
    usage = dump.usage()
    assert usage.bytes == usage.counter
    assert not dump.attribution().problems
    for kind in ("free", "shared memory and tmpfs", "page tables"):
        (node,) = (node for node in usage.children if node.name == kind)
        counted = sum(c.counter or 0 for c in node.children) if kind == "free" else node.counter
        assert node.bytes == counted


@pytest.mark.parametrize("path", STOCK_CORES, ids=name)
def test_memory_of_tasks_is_what_the_kernel_said(path: Path) -> None:
    """Shortly before: but for pages that threads keep for themselves, and what was done since."""
    told = {
        (int(pid), key): int(size) << 10
        for pid, key, size in SAID.findall((path.parent / "tasks").read_text())
    }
    compared = 0
    for task in tasks(open_core(path).kernel).tasks:
        for key, size in [("RssAnon", task.anon), ("RssShmem", task.shmem)]:
            if (task.pid, key) in told:
                assert abs(told[task.pid, key] - size) <= 64 * 4096
                compared += 1
    assert compared >= 6


@pytest.mark.parametrize(
    ("folder", "kind"), [("stock-7.3-pipes", "pipeanon"), ("stock-6.12-sockets", "socket")]
)
def test_what_files_keep_alone(folder: str, kind: str) -> None:
    """All that was written, and the pipes and sockets themselves, but hardly more."""
    case = investigate(open_core(core(folder)))
    first, *others = case.kept
    assert (first.comm, next(iter(first.kinds))) == ("culprit", kind)
    (files,) = (one for one in case.files if one.pid == first.pid)
    assert files.bytes <= first.kinds[kind] <= 1.1 * files.bytes
    assert sum(first.kinds.values()) == sum(first.sites.values())
    assert all(sum(one.kinds.values()) < 1 << 20 for one in others)


def test_files_of_a_tmpfs_are_in_use() -> None:
    """Each has its name for as long as it exists, and nothing else has a use for it."""
    case = investigate(open_core(core("stock-7.3-inodes")))
    (tmpfs,) = (mount for mount in case.tmpfs if mount.mount == "/scratch")
    assert case.pins is not None
    pinned, of = case.pins.pinned["shmem_inode_cache"]
    assert tmpfs.files <= pinned <= of
    assert case.in_use("dentry") == 1.0
    assert case.watchers == []


def test_names_that_nobody_uses_can_be_given_back() -> None:
    case = investigate(open_core(core("stock-6.12-quiet")))
    assert 0.5 < case.in_use("dentry") < 0.9
    assert case.in_use("proc_inode_cache") < 0.1
