"""Packs a dump: its pages uncompressed, then the file as a whole, to make it a third smaller.

A page that is compressed by itself shares nothing with others. ``python -m tests.unpack``
makes a dump of it again, beside the packed one: every page as it was, but not compressed.
"""

import zlib
from pathlib import Path

from . import work
from .thin import DESCRIPTOR, HEADER_FIELDS, HEADER_FIELDS_AT, ZSTD

ZLIB = 0x1  # DUMP_DH_COMPRESSED_ZLIB, in the flags
WINDOW_LOG = 27
"""All of a dump of 128 MiB can be referred to."""


def pack(vmcore: Path) -> None:
    """Replaces a dump by ``vmcore.zst``."""
    zstandard = work.zstandard()
    parameters = zstandard.ZstdCompressionParameters.from_level(
        22, window_log=WINDOW_LOG, enable_ldm=True, write_checksum=True
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    dump = vmcore.read_bytes()
    if dump[:8] == b"KDUMP   ":
        dump = uncompressed(dump)
    vmcore.with_name(f"{vmcore.name}.zst").write_bytes(compressor.compress(dump))
    vmcore.unlink()
    (vmcore.parent / ".gitignore").write_text(f"/{vmcore.name}\n")


def uncompressed(dump: bytes) -> bytes:
    """Returns a kdump-compressed dump with raw pages; equal ones share their data."""
    _, block, sub_blocks, bitmap_blocks, _ = HEADER_FIELDS.unpack_from(dump, HEADER_FIELDS_AT)
    bitmap_at = block * (1 + sub_blocks) + block * bitmap_blocks // 2
    pages_at = block * (1 + sub_blocks + bitmap_blocks)
    count = int.from_bytes(dump[bitmap_at:pages_at], "little").bit_count()
    data_at = pages_at + count * DESCRIPTOR.size
    descriptors, data = bytearray(), bytearray()
    moved: dict[bytes, int] = {}
    for number in range(count):
        offset, size, flags, page_flags = DESCRIPTOR.unpack_from(
            dump, pages_at + number * DESCRIPTOR.size
        )
        page = _page(dump[offset : offset + size], flags, block)
        if page not in moved:
            moved[page] = data_at + len(data)
            data += page
        descriptors += DESCRIPTOR.pack(moved[page], len(page), 0, page_flags)
    return dump[:pages_at] + descriptors + data


def _page(data: bytes, flags: int, size: int) -> bytes:
    if flags & ZSTD:
        page = work.zstandard().ZstdDecompressor().decompress(data, max_output_size=size)
    elif flags & ZLIB:
        page = zlib.decompress(data)
    elif flags:
        raise work.LabError("pages compressed by lzo or snappy cannot be packed; save it with zstd")
    else:
        page = data
    if len(page) != size:
        raise work.LabError(f"a page of the dump has {len(page)} bytes, not {size}")
    return bytes(page)
