# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compressed files: whole, cut, damaged, several in one; and without the library."""

from __future__ import annotations

import gzip
import io
import lzma
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from allocdump.errors import ExtraError
from allocdump.source.compressed import CompressedError, create, expanded

TEXT = "".join(f"{random.Random(i).random()} some line\n" for i in range(5000)).encode()
METHODS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
}


def read(raw: bytes) -> bytes:
    return b"".join(expanded(io.BytesIO(raw)))


def test_other_contents_are_as_they_are() -> None:
    assert read(TEXT) == TEXT
    assert read(b"") == b""


@pytest.mark.parametrize("method", METHODS)
def test_compressed(method: str) -> None:
    raw = METHODS[method](TEXT)
    assert read(raw) == TEXT
    assert read(raw + raw) == TEXT + TEXT
    if method == "gz":  # as tapes and dd leave it
        assert read(raw + bytes(512)) == TEXT


@pytest.mark.parametrize("method", METHODS)
def test_cut_at_any_place_is_told(method: str) -> None:
    raw = METHODS[method](TEXT)
    for size in (8, 100, len(raw) // 2, len(raw) - 9, len(raw) - 1):
        with pytest.raises(CompressedError, match="cut"):
            read(raw[:size])


@pytest.mark.parametrize("method", METHODS)
def test_damaged(method: str) -> None:
    raw = bytearray(METHODS[method](TEXT))
    raw[len(raw) // 2 : len(raw) // 2 + 50] = bytes(50)
    with pytest.raises(CompressedError, match="damaged"):
        read(bytes(raw))


@pytest.mark.parametrize("method", METHODS)
def test_a_part_is_never_much(method: str) -> None:
    raw = METHODS[method](bytes(300 << 20))
    parts = expanded(io.BytesIO(raw))
    assert max(len(next(parts, b"")) for _ in range(4)) <= 48 << 20


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("zstandard", "compression", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExtraError, match=r"pip install 'allocdump\[zstd\]'"):
        read(zstandard.compress(TEXT))
    with pytest.raises(ExtraError, match="zstandard"):
        create(str(tmp_path / "x.zst"))


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_created(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"text{suffix}"
    with create(str(path)) as file:
        file.write(TEXT)
    assert read(path.read_bytes()) == TEXT
    assert (path.read_bytes() == TEXT) == (not suffix)
