# SPDX-License-Identifier: LGPL-2.1-or-later
"""A packed dump, unpacked, has every page as it was."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import drgn

from ..dumpdata import TESTDATA, core, dumps_in
from ..unpack import unpack

LAB = TESTDATA.parent / "scripts" / "lab"


def test_pages_are_as_they_were(tmp_path: Path) -> None:
    original = core("tiny-noprofiling")
    copy = tmp_path / "vmcore"
    shutil.copy(original, copy)
    subprocess.run([sys.executable, str(LAB), "pack", str(copy)], check=True)
    packed = tmp_path / "vmcore.zst"
    assert not copy.exists()
    assert packed.stat().st_size < 0.8 * original.stat().st_size
    assert dumps_in(tmp_path) == {copy}
    assert "vmcore.zst" in (tmp_path / "SHA256SUMS").read_text()
    unpack(packed)
    assert _pages(copy) == _pages(original)


def test_what_is_unpacked_stays(tmp_path: Path) -> None:
    packed = tmp_path / "vmcore.zst"
    packed.write_bytes(b"not zstd")
    (tmp_path / "vmcore").write_text("as it was")
    unpack(packed)
    assert (tmp_path / "vmcore").read_text() == "as it was"


def _pages(dump: Path) -> dict[int, int]:
    """Returns a number for the content of each page that a dump has, by physical address."""
    prog = drgn.Program()
    prog.set_core_dump(dump)
    pages = {}
    for address in range(0, 256 << 20, 4096):
        try:
            data = prog.read(address, 4096, physical=True)
        except drgn.FaultError:
            continue
        pages[address] = hash(data)
    assert len(pages) > 1000
    return pages
