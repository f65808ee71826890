# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stacks of pages and objects against what the kernel itself printed just before it died."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pytest

from allocdump.kernel.machine.code_names import CodeNames
from allocdump.kernel.stacks.kept import KeptStacks
from allocdump.session import Session

from ..dumpdata import TESTDATA, core, open_core

FOLDER = "7.3-stacks"
KEPT = TESTDATA / FOLDER
pytestmark = pytest.mark.skipif(not KEPT.is_dir(), reason="the dump is not there")

_FRAME = re.compile(r"(?P<place>[^/\s]+)(?:/0x[0-9a-f]+)?(?: (?P<module>\[\w+\]))?")
_PAGE = re.compile(
    r"Page allocated via order (?P<order>\d+), .*, pid (?P<pid>-?\d+), tgid (?P<tgid>-?\d+)"
    r" \((?P<comm>.*)\), ts (?P<time>\d+) ns\nPFN (?P<pfn>0x[0-9a-f]+) .*\n"
    r"handle: (?P<handle>\d+)\n"
)
_OBJECTS = re.compile(
    r" *(?P<count>\d+) (?P<place>\S+(?: \[\w+\])?)(?: waste=\S+)? age=(?P<age>\S+) pid=(?P<pid>\S+)"
)


def printed(file: str) -> str:
    return gzip.decompress((KEPT / file).read_bytes()).decode()


def frame(text: str) -> str:
    """As we write it: without the size of the function."""
    found = _FRAME.fullmatch(text.strip())
    assert found, text
    module = f" {found['module']}" if found["module"] else ""
    return found["place"] + module


@pytest.fixture(scope="module")
def dump() -> Session:
    return open_core(core(FOLDER))


@pytest.fixture(scope="module")
def kept(dump: Session) -> KeptStacks:
    return dump.pagemap.stacks


def stacks_told() -> dict[int, tuple[str, ...]]:
    """What each handle stands for, by the kernel."""
    out = {}
    for block in printed("stacks.gz").split("\n\n"):
        *frames, last = block.strip("\n").split("\n")
        if last:
            out[int(last.removeprefix("handle: "))] = tuple(map(frame, frames))
    return out


def test_stacks_are_those_that_the_kernel_printed(dump: Session) -> None:
    told = stacks_told()
    assert len(told) > 500
    found = dump.pagemap.stacks.stacks(np.array(list(told), np.uint32))
    assert not found.problems
    code = CodeNames(dump.prog)
    for handle, stack in zip(found.handle.tolist(), found, strict=True):
        assert tuple(code[address].label for address in stack) == told[handle]


def test_owners_of_pages_are_those_that_the_kernel_printed(dump: Session) -> None:
    """All of them, but for pages that were allocated or freed while it printed."""
    entries = list(_PAGE.finditer(printed("page_owner.gz")))
    assert len(entries) > 10_000
    reader = dump.pagemap.stacks.pages
    assert reader is not None
    pfn = np.array([int(m["pfn"], 16) for m in entries], np.int64)
    owner = reader.owners(pfn)
    begun = max(int(m["time"]) for m in entries if m["comm"] != "cat")
    later = changed = 0
    for i, m in enumerate(entries):
        if owner.time[i] != int(m["time"]):
            assert owner.time[i] > int(m["time"])
            later += 1
            continue
        if not owner.allocated[i]:
            assert owner.free_time[i] > begun
            changed += 1
        assert owner.handle[i] == int(m["handle"])
        assert owner.order[i] == int(m["order"])
        assert (owner.pid[i], owner.tgid[i]) == (int(m["pid"]), int(m["tgid"]))
        assert bytes(owner.comm[i]).decode() == m["comm"]
    assert later + changed < len(entries) // 50
    # And no other page is in use since then.
    everything = np.concatenate(
        [np.arange(s.pfn, s.pfn + s.pages) for s in dump.pagemap.frames.sections]
    )
    owners = reader.owners(everything)
    first = everything % (1 << np.minimum(owners.order, 20)) == 0
    old = owners.allocated & first & (owners.handle != 0) & (owners.time < begun)
    missed = np.setdiff1d(everything[old], pfn)
    assert not len(missed)
