# SPDX-License-Identifier: LGPL-2.1-or-later
"""Call sites read from files: real modules, and images made by hand."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from allocdump.errors import DumpError, ProfilingError
from allocdump.kernel.tags.compiled import CompiledSite, compiled_sites

from ...dumpdata import TESTDATA, core, run, truth

STRINGS = b"\0mod\0alloc_it\0dir/file.c\0"
MODULE, FUNCTION, FILE = 1, 5, 14


def image(
    sites: int = 2,
    relocations: list[tuple[int, int, int]] | None = None,
    e_type: int = 2,
    names: tuple[bytes, bytes] = (b"__start_alloc_tags", b"__stop_alloc_tags"),
    data_type: int = 1,
    size: int | None = None,
    start: int = 0,
) -> bytes:
    """An ELF file with .data at 0x1000 (tags), .rodata at 0x2000 (strings) and symbols."""
    rodata, base = start + 0x2000, start + 0x1000
    tags = b""
    for i in range(sites):
        pointers = (0, rodata + FUNCTION, rodata + FILE) if relocations is None else (0, 0, 0)
        tags += struct.pack("<II4Q", 0, 10 + i, *pointers, 0)
    tags = tags[:size]
    strtab = b"\0" + b"\0".join(names) + b"\0"
    symbols = bytes(24)
    for name, value in zip(names, (base, base + len(tags)), strict=True):
        symbols += struct.pack("<IBBHQQ", strtab.index(name), 0, 0, 1, value, 0)
    rela = b"".join(struct.pack("<QQq", *r) for r in relocations or [])
    shstrtab = b"\0.data\0.rodata\0.symtab\0.strtab\0.rela.dyn\0.shstrtab\0"
    sections = [
        (b".data", data_type, base, tags, 0, 0),
        (b".rodata", 1, rodata, STRINGS, 0, 0),
        (b".symtab", 2, 0, symbols, 4, 24),
        (b".strtab", 3, 0, strtab, 0, 0),
        (b".rela.dyn", 4, 0, rela, 3, 24),
        (b".shstrtab", 3, 0, shstrtab, 0, 0),
    ]
    body, headers = b"", bytes(64)
    for name, kind, address, content, link, entry in sections:
        headers += struct.pack(
            "<IIQQQQIIQQ", shstrtab.index(name), kind, 2, address, 64 + len(body), len(content),
            link, 0, 1, entry,
        )  # fmt: skip
        body += content
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", e_type, 62, 1, 0, 0, 64 + len(body), 0,
        64, 0, 0, 64, 7, 6,
    )  # fmt: skip
    return header + body + headers


def sites_of(tmp_path: Path, data: bytes) -> list[CompiledSite] | None:
    path = tmp_path / "vmlinux"
    path.write_bytes(data)
    return compiled_sites(str(path))


def test_kernel_image(tmp_path: Path) -> None:
    assert sites_of(tmp_path, image()) == [
        CompiledSite("dir/file.c", 10, "", "alloc_it"),
        CompiledSite("dir/file.c", 11, "", "alloc_it"),
    ]


def test_position_independent_image(tmp_path: Path) -> None:
    """Its pointers are R_*_RELATIVE relocations, zero in place."""
    relocations = [
        (0x1000 + 16, 8, 0x2000 + FUNCTION),
        (0x1000 + 24, 8, 0x2000 + FILE),
        (0x3000, 8, 0x2000),
    ]
    assert sites_of(tmp_path, image(1, relocations, e_type=3)) == [
        CompiledSite("dir/file.c", 10, "", "alloc_it")
    ]


def test_position_independent_image_in_the_upper_half(tmp_path: Path) -> None:
    """As of aarch64: addresses there are negative as addends, which have a sign."""
    start = 0xFFFF_8000_8000_0000
    relocations = [
        (start + 0x1000 + 16, 0x403, start + 0x2000 + FUNCTION - (1 << 64)),
        (start + 0x1000 + 24, 0x403, start + 0x2000 + FILE - (1 << 64)),
    ]
    assert sites_of(tmp_path, image(1, relocations, e_type=3, start=start)) == [
        CompiledSite("dir/file.c", 10, "", "alloc_it")
    ]


@pytest.mark.parametrize(
    ("folder", "module", "least"), [("6.12-oom", "leaker", 2), ("7.2-quiet", "labmod", 10)]
)
def test_modules_against_the_kernels_truth(folder: str, module: str, least: int) -> None:
    """In a report of a kernel that loaded a module are the sites compiled into it."""
    lines = [line for line in truth(core(folder)).splitlines() if f"[{module}]" in line]
    sites = compiled_sites(str(TESTDATA / folder / f"{module}.ko"))
    assert [str(site) for site in sites] == [line.split(maxsplit=2)[2].strip() for line in lines]
    assert len(sites) >= least


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (image(names=(b"a_symbol", b"another_one")), ProfilingError, "MEM_ALLOC_PROFILING"),
        (image(size=79), DumpError, "unknown layout"),
        (image(data_type=8), DumpError, "debug information"),
        (b"\x7fELF", DumpError, "not a usable ELF file"),
        (b"text", DumpError, "not a usable ELF file"),
        (image()[:300], DumpError, "not a usable ELF file"),
    ],
)
def test_what_cannot_be_read(
    tmp_path: Path, data: bytes, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        sites_of(tmp_path, data)


def test_command_reads_what_it_can(tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(image())
    done = run("tags", tmp_path / "nothing", path)
    assert done.returncode == 3
    assert done.stdout == "dir/file.c:10 func:alloc_it\ndir/file.c:11 func:alloc_it\n"
    assert "nothing cannot be read" in done.stderr
    document = json.loads(run("tags", path, "--format", "json").stdout)
    assert document["sites"][0]["line"] == 10
