"""Takes the kernel's code out of a dump, to make a committed dump smaller.

Code never changes and nothing about allocations is in it, yet it is 2 MB of
each dump. Its pages are treated as makedumpfile treats excluded ones: their
bits in the second bitmap are cleared, their descriptors and data are gone. No
other byte of a page changes.
"""

import struct
from pathlib import Path

HEADER_FIELDS = struct.Struct(
    "<IiiII"
)  # status, block size, sub header blocks, bitmap blocks, pages
HEADER_FIELDS_AT = 424
VMCOREINFO_AT = 32  # in the sub header: offset and size
DESCRIPTOR = struct.Struct("<QIIQ")  # offset, size, flags, page flags
KERNEL_MAP = 0xFFFFFFFF80000000
PAGE = 4096


def thin(vmcore: Path, system_map: Path) -> None:
    """Rewrites a kdump-compressed dump without its kernel's code."""
    dump = vmcore.read_bytes()
    if dump[:8] != b"KDUMP   ":
        raise ValueError(f"{vmcore} is not a kdump-compressed dump")
    _, block, sub_blocks, bitmap_blocks, _ = HEADER_FIELDS.unpack_from(dump, HEADER_FIELDS_AT)
    bitmap_at = block * (1 + sub_blocks) + block * bitmap_blocks // 2
    pages_at = block * (1 + sub_blocks + bitmap_blocks)

    bitmap = bytearray(dump[bitmap_at:pages_at])
    saved = [8 * at + bit for at, byte in enumerate(bitmap) for bit in range(8) if byte >> bit & 1]
    code = _code(_vmcoreinfo(dump, block), system_map)
    kept = [(number, pfn) for number, pfn in enumerate(saved) if pfn not in code]
    for pfn in set(saved) & set(code):
        bitmap[pfn // 8] &= ~(1 << pfn % 8)

    descriptors, data = bytearray(), bytearray()
    data_at = pages_at + len(kept) * DESCRIPTOR.size
    moved: dict[int, int] = {}  # equal pages share their data
    for number, _ in kept:
        offset, size, flags, page_flags = DESCRIPTOR.unpack_from(
            dump, pages_at + number * DESCRIPTOR.size
        )
        if offset not in moved:
            moved[offset] = data_at + len(data)
            data += dump[offset : offset + size]
        descriptors += DESCRIPTOR.pack(moved[offset], size, flags, page_flags)
    vmcore.write_bytes(dump[:bitmap_at] + bitmap + descriptors + data)


def _vmcoreinfo(dump: bytes, sub_header: int) -> dict[str, str]:
    offset, size = struct.unpack_from("<QQ", dump, sub_header + VMCOREINFO_AT)
    lines = dump[offset : offset + size].decode().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _code(vmcoreinfo: dict[str, str], system_map: Path) -> range:
    """Returns the page frames that hold nothing but code."""
    symbols = dict(reversed(line.split()[::2]) for line in system_map.read_text().splitlines())
    start = (
        int(vmcoreinfo["SYMBOL(_stext)"], 16) - KERNEL_MAP + int(vmcoreinfo["NUMBER(phys_base)"], 0)
    )
    size = int(symbols["_etext"], 16) - int(symbols["_stext"], 16)
    return range(-(-start // PAGE), (start + size) // PAGE)
