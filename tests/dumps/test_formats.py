# SPDX-License-Identifier: LGPL-2.1-or-later
"""One crash in all formats and at several levels: the answer is the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from allocdump.kernel.mm.page_types import PageKind
from allocdump.source.core import identify

from .. import kdump
from ..dumpdata import core, open_core, run

DUMP = core("7.3-after")
"""At level 23: without page cache and free pages."""

FORMS: dict[str, Callable[[], bytes]] = {
    "kdump, -d 23": lambda: kdump.kdump(kdump.read(DUMP)),
    "kdump, zlib, -d 23": lambda: kdump.kdump(kdump.read(DUMP), "zlib"),
    "kdump, snappy, -d 23": lambda: kdump.kdump(kdump.read(DUMP), "snappy"),
    "kdump, zstd, -d 23": lambda: kdump.kdump(kdump.read(DUMP), "zstd"),
    "kdump, zlib, -d 23, flattened": lambda: kdump.flattened(kdump.kdump(kdump.read(DUMP), "zlib")),
    "elf": lambda: kdump.elf(kdump.read(DUMP)),
    "elf, flattened": lambda: kdump.flattened(kdump.elf(kdump.read(DUMP)), 1 << 20),
}
"""Written anew, by what identify() is to call it. 6.12-oom is in lzo."""


def answer(path: Path, command: str = "usage") -> str:
    done = run(command, path, "--format", "csv")
    assert done.returncode == 0
    assert "flattened" in done.stderr or not done.stderr
    return done.stdout


@pytest.mark.parametrize("form", FORMS)
def test_the_same_answer(form: str, tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    path.write_bytes(FORMS[form]())
    assert identify(path).describe() == form
    assert identify(path).missing_bytes == 0
    assert answer(path) == answer(DUMP)


def test_a_part_of_a_split_dump(tmp_path: Path) -> None:
    path = tmp_path / "my vmcore.1"
    path.write_bytes(kdump.kdump(kdump.read(DUMP), "zlib", (0, 20000)))
    done = run("report", path)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"makedumpfile --reassemble '{path}' OTHER-PARTS... vmcore" in done.stderr


@cache
def frames(kind: PageKind) -> set[int]:
    """Page frames of a kind."""
    parts = (part.frames for part in open_core(DUMP).pagemap)
    return {pfn for part in parts for pfn in part.pfn[part.kind == kind].tolist()}


def everything() -> kdump.Dump:
    """The dump at level 0: what is left out of it is there, and holds stale pointers."""
    whole = kdump.read(DUMP)
    stale = [whole.pages[frame] for frame in sorted(frames(PageKind.SLAB) & whole.pages.keys())]
    absent = set[int]().union(*map(frames, (PageKind.FREE, PageKind.FREE_PCP, PageKind.CACHE)))
    chance = np.random.default_rng(1)
    pages = {frame: stale[chance.integers(len(stale))] for frame in absent} | dict(whole.pages)
    return whole.with_pages(dict(sorted(pages.items())), 0)


def without_user_pages() -> kdump.Dump:
    whole = kdump.read(DUMP)
    gone = frames(PageKind.ANONYMOUS)
    pages = {frame: page for frame, page in whole.pages.items() if frame not in gone}
    assert len(pages) < len(whole.pages)
    return whole.with_pages(pages, 31)


@pytest.mark.parametrize("make", [everything, without_user_pages])
def test_levels(make: Callable[[], kdump.Dump], tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    path.write_bytes(kdump.kdump(make()))
    for command in ("usage", "leaks"):
        assert answer(path, command) == answer(DUMP, command)
