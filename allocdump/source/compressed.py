# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files that are compressed as a whole: gzip, xz and Zstandard.

An untrusted file cannot make more of itself than its reader asks for, but for one part of
:data:`_PART` bytes: at most 128 KiB for each of its 256 blocks.
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ..errors import extra

_PART = 1024


class CompressedError(ValueError):
    """The file is damaged or cut; the message ends a sentence that starts with its name."""


class _Decompressor(Protocol):
    """The part of the interface that those of all libraries have."""

    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, /) -> bytes: ...


def _zstd() -> Any:
    """Python's own library, from 3.14 on, or ``zstandard``, which is older.

    :raises ExtraError: if there is neither
    """
    try:
        return import_module("compression.zstd")
    except ModuleNotFoundError:
        with extra("zstd"):
            return import_module("zstandard")


def _zstd_decompressor() -> _Decompressor:
    library = _zstd()
    made: Any = library.ZstdDecompressor()
    found: _Decompressor = made.decompressobj() if hasattr(made, "decompressobj") else made
    return found


_METHODS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(16 + zlib.MAX_WBITS),
    b"\xfd7zXZ\0": lzma.LZMADecompressor,
    b"\x28\xb5\x2f\xfd": _zstd_decompressor,
}
"""By the bytes that such a file begins with."""

_CREATORS: dict[str, Callable[[str], Any]] = {
    ".gz": lambda path: gzip.GzipFile(path, "wb", mtime=0),
    ".zst": lambda path: _zstd().open(path, "wb"),
}


def expanded(file: BinaryIO) -> Iterator[bytes]:
    """The contents of a file, part by part: as they are, or uncompressed.

    :raises CompressedError: if they are compressed, and damaged or cut
    :raises ExtraError: if the library for them is not installed
    :raises OSError: if the file cannot be read
    """
    head = file.read(_PART)
    method = next((make for magic, make in _METHODS.items() if head.startswith(magic)), None)
    parts = _parts(head, file)
    return parts if method is None else _expand(parts, method)


def _parts(head: bytes, file: BinaryIO) -> Iterator[bytes]:
    while head:
        yield head
        head = file.read(_PART)


def _expand(parts: Iterator[bytes], method: Callable[[], _Decompressor]) -> Iterator[bytes]:
    # There may be several files in one, and zeros between and behind them.
    one: _Decompressor | None = None
    for part in parts:
        while part:
            if one is None and not (part := part.lstrip(b"\0")):
                break
            one = one or method()
            try:
                yield one.decompress(part)
            except Exception as e:  # each library has its own
                if isinstance(e, (MemoryError, OSError)):
                    raise
                raise CompressedError(f"is damaged and cannot be uncompressed ({e})") from None
            part = b""
            if one.eof:
                part, one = one.unused_data, None
    if one is not None:
        raise CompressedError("is cut: its compressed end is missing")


def create(path: str, *, as_is: bool = False) -> BinaryIO:
    """Create a file, which is compressed if its name says so: ``.gz``, ``.zst``.

    :param as_is: whether what will be written is compressed already
    :raises ExtraError: if the library for it is not installed
    :raises OSError: if it cannot be created
    """
    creator = None if as_is else _CREATORS.get(Path(path).suffix)
    file: BinaryIO = Path(path).open("wb") if creator is None else creator(path)  # noqa: SIM115
    return file
