# SPDX-License-Identifier: LGPL-2.1-or-later
"""Page frames of zeros that a kdump's descriptors tell of, against their memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drgn import Program

import allocdump
from allocdump.graph.scan import long_runs
from allocdump.kernel.kernel import Kernel
from allocdump.source.core import Core, dumped, identify
from allocdump.source.zeros import ZeroFrames, zero_frames

from ..dumpdata import core, name, open_core

DUMPS = [
    core("6.12-oom-user"), core("7.2-quiet", "vmcore.d31"), core("tiny-never"),
    core("arm64-16k"), core("arm64-64k-compressed"),
]  # fmt: skip


@pytest.mark.parametrize("path", DUMPS, ids=name)
def test_all_that_are_zeros_and_no_others(path: Path) -> None:
    kernel = Kernel.of(open_core(path).source)
    page = kernel.page.bytes
    frames = np.concatenate(list(dumped(kernel.core, 1 << 20)))
    data = (kernel.prog.read(frame * page, page, physical=True) for frame in frames.tolist())
    zeros = frames[[not any(one) for one in data]]
    found = kernel.zero_frames
    marks = found.among(0, int(frames[-1]) + 100)
    assert np.flatnonzero(marks).tolist() == zeros.tolist()
    assert len(found) == len(zeros) > 1000
    first, last = int(zeros[3]) + 5, int(zeros[-3])
    assert (found.among(first, last) == marks[first:last]).all()


def test_none_where_nothing_tells() -> None:
    prog = open_core(core("6.12-oom-user")).prog
    facts = identify(core("6.12-oom-user"))
    for other in (
        Core(facts.path, "elf"),
        Core("The program", "core"),
        Core("nosuch", "kdump", dump_level=31, frame_bytes=4096, bitmap=facts.bitmap),
        Core(facts.path, "kdump", dump_level=30, frame_bytes=4096, bitmap=facts.bitmap),
    ):
        assert len(zero_frames(other, prog, 4096)) == 0
    assert len(zero_frames(facts, prog, 16384)) == 0
    assert not ZeroFrames(np.zeros(0, np.uint8)).among(7, 99).any()


def test_descriptors_that_share_other_data_tell_nothing(tmp_path: Path) -> None:
    """Damaged: all are at the place of a page with data."""
    facts = identify(core("6.12-oom-user"))
    data = bytearray(core("6.12-oom-user").read_bytes())
    frames = np.concatenate(list(dumped(facts, 1 << 20)))
    table = np.frombuffer(data, np.dtype("V24"), len(frames), sum(facts.bitmap))
    used = zero_frames(facts, open_core(core("6.12-oom-user")).prog, 4096)
    some = int(np.flatnonzero(~used.among(0, int(frames[-1]) + 1)[frames])[100])
    table[:] = table[some]
    (tmp_path / "vmcore").write_bytes(data)
    prog = Program()
    prog.set_core_dump(tmp_path / "vmcore")
    assert len(zero_frames(identify(tmp_path / "vmcore"), prog, 4096)) == 0


def test_the_graph_is_the_same_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    path = core("7.3-reach")
    whole = allocdump.open(path).graph()
    none = ZeroFrames(np.zeros(0, np.uint8))
    monkeypatch.setattr("allocdump.kernel.kernel.zero_frames", lambda *_: none)
    other = allocdump.open(path).graph()
    assert (whole.source == other.source).all()
    assert (whole.target == other.target).all()
    assert (whole.torn == other.torn).all()


def test_long_runs() -> None:
    marks = np.array([1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1], np.bool_)
    assert np.flatnonzero(long_runs(marks, 3)).tolist() == [2, 3, 4, 9, 10, 11, 12]
    assert not long_runs(marks[:0], 3).any()
