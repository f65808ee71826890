# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a core file says of itself."""

from __future__ import annotations

import os
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from allocdump.errors import DumpError
from allocdump.source.core import identify

from ..dumpdata import core, run
from ..kdump import flattened


def test_kdump() -> None:
    whole, damaged = identify(core("7.2-quiet")), identify(core("7.2-quiet", "vmcore.d31"))
    assert whole.describe() == "kdump, zstd, -d 23"
    assert damaged.describe() == "kdump, zstd, -d 31"
    assert (whole.excludes_user_pages, damaged.excludes_user_pages) == (False, True)
    assert identify(core("6.12-oom")).compression == "lzo"


@pytest.mark.parametrize("cut", [1, 5000, 100_000])
def test_missing_bytes(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "vmcore"
    shutil.copy(core("7.2-quiet"), path)
    os.truncate(path, path.stat().st_size - cut)
    # What follows the page data (notes, erase information) is not accounted for.
    assert 0 <= identify(path).missing_bytes <= cut
    assert identify(path).missing_bytes >= cut - 4096 or cut == 1


def test_incomplete_status(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    shutil.copy(core("7.2-quiet"), path)
    with open(path, "r+b") as file:
        file.seek(424)
        (status,) = struct.unpack("<I", file.read(4))
        file.seek(424)
        file.write(struct.pack("<I", status | 8))
    assert identify(path).incomplete
    assert identify(path).compression == "zstd"


@pytest.mark.parametrize("byte", [0, 0xFF])
def test_headers_of_garbage(tmp_path: Path, byte: int) -> None:
    path = tmp_path / "vmcore"
    for magic in (b"KDUMP   ", b"\x7fELF\x02\x01\x01"):
        path.write_bytes(magic + bytes([byte]) * 8192)
        with pytest.raises(DumpError):
            identify(path)


def test_a_fifo_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(DumpError, match="regular file"):
        identify(path)


def elf_core(filesz: int) -> bytes:
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0,
    )  # fmt: skip
    segment = struct.pack("<IIQQQQQQ", 1, 7, 4096, 0, 0, filesz, filesz, 0)
    return header + segment


def test_truncated_elf(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    path.write_bytes(elf_core(8192).ljust(4096 + 8192, b"\0"))
    assert identify(path).format == "elf"
    assert identify(path).missing_bytes == 0
    os.truncate(path, 4096 + 5000)
    assert identify(path).missing_bytes == 3192


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    path = tmp_path / "my vmcore.flat"
    path.write_bytes(flattened(core("7.2-quiet").read_bytes()))
    return path


def test_flattened(flat: Path) -> None:
    whole, found = identify(core("7.2-quiet")), identify(flat)
    assert found.describe() == "kdump, zstd, -d 23, flattened"
    assert found == replace(whole, path=str(flat), flattened=True)


def test_a_flattened_dump_that_is_cut(flat: Path) -> None:
    os.truncate(flat, flat.stat().st_size - 200_000)
    with pytest.raises(DumpError, match="truncated"):
        identify(flat)


@pytest.mark.parametrize(("at", "words"), [(1 << 45, "far behind"), (1 << 62, "truncated")])
def test_a_piece_far_behind_all_others(tmp_path: Path, at: int, words: str) -> None:
    """Reading what would be between takes for ever."""
    path = tmp_path / "vmcore.flat"
    pieces = [(0, b"KDUMP   ".ljust(16, b"\0")), (at, b"x")]
    data = b"".join(struct.pack(">qq", where, len(part)) + part for where, part in pieces)
    path.write_bytes(b"makedumpfile".ljust(4096, b"\0") + data)
    with pytest.raises(DumpError, match=words):
        identify(path)


def test_a_flattened_dump_is_read_in_place(flat: Path) -> None:
    done = run("report", flat, "--format", "csv")
    assert done.returncode == 0
    assert done.stdout == run("report", core("7.2-quiet"), "--format", "csv").stdout
    assert done.stderr.count("is a flattened dump") == 1
    assert f"makedumpfile -R '{flat}'.vmcore < '{flat}'" in done.stderr
