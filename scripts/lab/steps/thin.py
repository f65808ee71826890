"""Takes the kernel's code out of a dump, to make a committed dump smaller.

Code never changes and nothing about allocations is in it, yet it is 2 MB of
each dump, and the tables that go with it (for unwinding, for finding symbols by
name, of what modules may call) are another half.
Their pages are treated as makedumpfile treats excluded ones: their bits in the
second bitmap are cleared, their descriptors and data are gone. No other byte of a
page changes; those in zstd are compressed again, at its highest level.
"""

import struct
from collections.abc import Callable
from pathlib import Path

from . import arch, work

HEADER_FIELDS = struct.Struct(
    "<IiiII"
)  # status, block size, sub header blocks, bitmap blocks, pages
HEADER_FIELDS_AT = 424
VMCOREINFO_AT = 32  # in the sub header: offset and size
DESCRIPTOR = struct.Struct("<QIIQ")  # offset, size, flags, page flags
ZSTD = 0x20  # DUMP_DH_COMPRESSED_ZSTD, in the flags
RANGES = (
    ("_stext", "_etext"),
    ("__start_orc_unwind_ip", "__stop_orc_unwind_ip"),
    ("__start_orc_unwind", "__stop_orc_unwind"),
    ("__start___ksymtab", "__start___param"),
)
"""Symbols between which nothing else is than code and its tables; not all kernels have all."""
AMONG_DATA = (
    ("orc_lookup", "orc_lookup_end"),
    ("__start___bug_table", "__stop___bug_table"),
    ("__start___jump_table", "__stop___jump_table"),
    ("__start_static_call_sites", "__stop_static_call_sites"),
)
"""The same, where the kernel's variables are."""


def thin(vmcore: Path, system_map: Path | None, others: set[int]) -> None:
    """Rewrites a kdump-compressed dump without its kernel's code and other page frames.

    A stock kernel has no System.map; the symbols inside the dump are taken, and tables among
    its variables are left out, too.
    """
    dump = vmcore.read_bytes()
    if dump[:8] != b"KDUMP   ":
        raise ValueError(f"{vmcore} is not a kdump-compressed dump")
    _, block, sub_blocks, bitmap_blocks, _ = HEADER_FIELDS.unpack_from(dump, HEADER_FIELDS_AT)
    bitmap_at = block * (1 + sub_blocks) + block * bitmap_blocks // 2
    pages_at = block * (1 + sub_blocks + bitmap_blocks)

    bitmap = bytearray(dump[bitmap_at:pages_at])
    saved = [8 * at + bit for at, byte in enumerate(bitmap) for bit in range(8) if byte >> bit & 1]
    vmcoreinfo = _vmcoreinfo(dump, block)
    if system_map:
        code = _code(vmcoreinfo, _of_map(system_map), RANGES, block)
    else:
        code = _code(vmcoreinfo, _inside(vmcore), RANGES + AMONG_DATA, block)
    left_out = code | others
    compress = _zstd(block)
    kept = [(number, pfn) for number, pfn in enumerate(saved) if pfn not in left_out]
    for pfn in left_out.intersection(saved):
        bitmap[pfn // 8] &= ~(1 << pfn % 8)

    descriptors, data = bytearray(), bytearray()
    data_at = pages_at + len(kept) * DESCRIPTOR.size
    moved: dict[int, tuple[int, int]] = {}  # equal pages share their data
    for number, _ in kept:
        offset, size, flags, page_flags = DESCRIPTOR.unpack_from(
            dump, pages_at + number * DESCRIPTOR.size
        )
        if offset not in moved:
            page = dump[offset : offset + size]
            if flags & ZSTD:
                page = compress(page)
            moved[offset] = data_at + len(data), len(page)
            data += page
        descriptors += DESCRIPTOR.pack(*moved[offset], flags, page_flags)
    vmcore.write_bytes(dump[:bitmap_at] + bitmap + descriptors + data)


def _vmcoreinfo(dump: bytes, sub_header: int) -> dict[str, str]:
    offset, size = struct.unpack_from("<QQ", dump, sub_header + VMCOREINFO_AT)
    lines = dump[offset : offset + size].decode().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _of_map(system_map: Path) -> dict[str, int]:
    symbols = (line.split() for line in system_map.read_text().splitlines())
    return {name: int(address, 16) for address, _, name in symbols}


def _inside(vmcore: Path) -> dict[str, int]:
    try:
        import drgn
        from drgn.helpers.linux.kallsyms import load_vmlinux_kallsyms
    except ImportError:
        raise work.LabError("drgn is missing: run the lab with the project's own Python") from None
    program = drgn.Program()
    program.set_core_dump(str(vmcore))
    program.register_symbol_finder("kallsyms", load_vmlinux_kallsyms(program), enable_index=0)
    return {symbol.name: symbol.address for symbol in program.symbols()}


def _code(
    vmcoreinfo: dict[str, str], at: dict[str, int], tables: tuple[tuple[str, str], ...], page: int
) -> set[int]:
    """Returns the page frames that hold nothing but code and its tables."""
    shift = int(vmcoreinfo["SYMBOL(_stext)"], 16) - at["_stext"]
    shift += arch.image_shift(vmcoreinfo)
    ranges = [(at[start], at[end]) for start, end in tables if start in at and end in at]
    # Three bytes for each symbol, which has four in kallsyms_offsets.
    if names := at.get("kallsyms_seqs_of_names"):
        ranges.append((names, names + (names - at["kallsyms_offsets"]) // 4 * 3))
    return {
        pfn
        for start, end in ranges
        for pfn in range(-(-(start + shift) // page), (end + shift) // page)
    }


def _zstd(page_size: int) -> Callable[[bytes], bytes]:
    """Returns a function that compresses a page again."""
    zstandard = work.zstandard()
    read, write = zstandard.ZstdDecompressor(), zstandard.ZstdCompressor(level=22)
    return lambda page: bytes(write.compress(read.decompress(page, max_output_size=page_size)))
