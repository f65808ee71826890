# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stacks of pages and objects against what the kernel itself printed just before it died."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass

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


@dataclass
class Table:
    handle: int
    frames: list[str]


def stacks_told() -> dict[int, tuple[str, ...]]:
    out = {}
    for block in printed("stacks.gz").split("\n\n"):
        *frames, last = block.strip("\n").split("\n")
        if last:
            out[int(last.removeprefix("handle: "))] = tuple(map(frame, frames))
    return out


def test_stacks_are_those_that_the_kernel_printed(kept: KeptStacks, dump: Session) -> None:
    told = stacks_told()
    assert len(told) > 500
    found = kept.stacks(np.array([h & 0xFFFF_FFFF for h in told], np.uint32))
    assert not found.problems
    code = CodeNames(dump.prog)
    for row, handle in enumerate(found.handle.tolist()):
        assert tuple(code[address].label for address in found[row]) == told[handle]
