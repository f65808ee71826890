"""Debug information small enough to lie beside a dump.

A vmlinux has 100 MB of it. Kept are the types, variables and symbols of the
compilation units that allocation profiling, memory management and tasks are
made of, and the build ID. What describes code (line numbers, unwinding) is left
out. The result is a plain ELF file with compressed sections.
"""

import re
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import work
from .kernel import Kernel

UNITS = (
    "init/",
    "mm/",
    "lib/",
    "fs/proc/",
    "kernel/[^/]*$",
    "kernel/(module|sched|cgroup|printk|time)/",
    "arch/[^/]*/(mm|kernel/setup)",
)
SECTIONS = (
    ".notes", ".debug_info", ".debug_abbrev", ".debug_str", ".debug_line_str", ".debug_rnglists",
    ".symtab", ".strtab", ".shstrtab",
)  # fmt: skip
SYMBOLS_OF_NO_USE = "__kstrtab*", "__ksymtab*", "__func__*", ".LC*"

UNIT = re.compile(
    r"Compilation Unit @ offset (?:0x)?(\w+):\s+Length:\s+(?:0x)?(\w+)"
    r".*?DW_AT_name\s*:.*?: (\S+)\s*\n",
    re.S,
)
UNIT_LENGTH_FIELD = 4

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SEGMENT = struct.Struct("<IIQQQQQQ")
SECTION = struct.Struct("<IIQQQQIIQQ")
NOBITS, COMPRESSED, ALLOC = 8, 0x800, 2
ZSTD = 2


@dataclass
class Section:
    """One section header."""

    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry: int


def add(kernel: Kernel, target: Path) -> None:
    """Makes a small vmlinux, or one of our modules with its debug sections."""
    if target.suffix == ".ko":
        module = kernel.modules / target.name
        objcopy = kernel.arch.tool("objcopy")
        work.run(objcopy, "--only-keep-debug", "--remove-section=.BTF*", module, target)
        return
    with tempfile.TemporaryDirectory(dir=work.folder("runs")) as scratch:
        vmlinux = _merged(_selected(kernel, Path(scratch)))
        target.write_bytes(_compact(vmlinux.read_bytes()))


def _selected(kernel: Kernel, scratch: Path) -> Path:
    """Returns a copy of vmlinux with only the compilation units of UNITS.

    Units of C do not refer to each other, so that one after another they are
    as good with some missing.
    """
    vmlinux, objcopy = kernel.vmlinux, kernel.arch.tool("objcopy")
    wanted = re.compile(rf"(\./)?({'|'.join(UNITS)})")
    listing = work.run(kernel.arch.tool("objdump"), "--dwarf=info", "--dwarf-depth=1", vmlinux)
    info, kept, small = scratch / "info", scratch / "kept", scratch / "small"
    work.run(objcopy, f"--dump-section=.debug_info={info}", vmlinux, "/dev/null")
    units = info.read_bytes()
    with kept.open("wb") as out:
        for found in UNIT.finditer(listing):
            start, length = int(found[1], 16), int(found[2], 16)
            if wanted.match(found[3]):
                out.write(units[start : start + length + UNIT_LENGTH_FIELD])
    dropped = [f"--strip-symbol={pattern}" for pattern in SYMBOLS_OF_NO_USE]
    # .debug_aranges is an index of units, which are elsewhere now.
    work.run(
        objcopy, "--wildcard", *dropped, "--remove-section=.debug_aranges",
        f"--update-section=.debug_info={kept}", vmlinux, small,
    )  # fmt: skip
    return small


def _merged(vmlinux: Path) -> Path:
    """Returns a copy whose units share what they have in common."""
    merged = vmlinux.with_suffix(".merged")
    # The limits protect small machines; a kernel is beyond both.
    work.run("dwz", "-l", "none", "-L", "none", vmlinux, "-o", merged)
    return merged


def _compact(elf: bytes) -> bytes:
    """Returns an ELF file with the contents of SECTIONS; all others keep their headers."""
    header = list(HEADER.unpack_from(elf))
    sections_at, count, names_in = header[6], header[12], header[13]
    sections = [
        Section(*SECTION.unpack_from(elf, sections_at + number * SECTION.size))
        for number in range(count)
    ]
    names = sections[names_in].offset
    out = bytearray(HEADER.size) + _segments(elf, header)
    for section in sections[1:]:
        start = names + section.name
        name = elf[start : elf.index(b"\0", start)].decode()
        if name not in SECTIONS:
            # The address still tells where things are, as in split debug files.
            section.type, section.offset = NOBITS, 0
            if not section.flags & ALLOC:
                section.size = 0
            continue
        data = elf[section.offset : section.offset + section.size]
        if name.startswith(".debug_"):
            data = _compressed(data, section)
        out += bytes(-len(out) % max(section.align, 1))
        section.offset, section.size = len(out), len(data)
        out += data
    out += bytes(-len(out) % 8)
    header[5], header[6] = HEADER.size, len(out)
    out[: HEADER.size] = HEADER.pack(*header)
    for section in sections:
        out += SECTION.pack(*vars(section).values())
    return bytes(out)


def _segments(elf: bytes, header: list[Any]) -> bytes:
    """Returns the program headers; their addresses tell how far a kernel was moved."""
    segments = b""
    for number in range(header[10]):
        fields = list(SEGMENT.unpack_from(elf, header[5] + number * SEGMENT.size))
        fields[2], fields[5] = 0, 0
        segments += SEGMENT.pack(*fields)
    return segments


def _compressed(data: bytes, section: Section) -> bytes:
    """Returns a compressed section's bytes, compressed harder than objcopy would."""
    with tempfile.TemporaryDirectory(dir=work.folder("runs")) as scratch:
        plain, packed = Path(scratch) / "plain", Path(scratch) / "packed"
        plain.write_bytes(data)
        work.run("zstd", "--ultra", "-22", "--quiet", plain, "-o", packed)
        result = struct.pack("<IIQQ", ZSTD, 0, len(data), section.align) + packed.read_bytes()
    section.flags |= COMPRESSED
    section.align = 8
    return result
