# SPDX-License-Identifier: LGPL-2.1-or-later
"""Call sites compiled into a kernel image or module, read from the file alone.

The tags lie between ``__start_alloc_tags`` and ``__stop_alloc_tags``, in .data of a
kernel image and of modules up to 6.12, in .codetag.alloc_tags of later modules.
In a module (and in a position independent image) the pointers are still relocations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile

from ...errors import DumpError, ProfilingError
from ...text import printable

# struct alloc_tag on 64-bit kernels, the same since it exists. The debug information
# that would tell is what these files usually lack.
_ALLOC_TAG = [
    ("flags", "u4"),
    ("lineno", "u4"),
    ("modname", "u8"),
    ("function", "u8"),
    ("filename", "u8"),
    ("counters", "u8"),
]


@dataclass(frozen=True)
class CompiledSite:
    """A call site as the compiler left it; *module* is empty for the kernel itself."""

    file: str
    line: int
    module: str
    function: str

    def __str__(self) -> str:
        module = f" [{self.module}]" if self.module else ""
        return f"{self.file}:{self.line}{module} func:{self.function}"


def compiled_sites(path: str) -> list[CompiledSite]:
    """All call sites of an ELF file, in the order of the section.

    :raises DumpError: if *path* is no ELF file with contents and symbols
    :raises ProfilingError: if it was built without allocation profiling
    """
    try:
        with open(path, "rb") as file:
            return _Image(path, ELFFile(file)).sites()
    except OSError as e:
        raise DumpError(f"{path} cannot be read: {e.strerror}.") from None
    except (ELFError, ConstructError, ValueError, KeyError, IndexError, AttributeError, TypeError):
        raise DumpError(
            f"{path} is not a usable ELF file; name an uncompressed vmlinux"
            " (not a bzImage or vmlinuz) or a .ko."
        ) from None


class _Image:
    def __init__(self, path: str, elf: Any) -> None:
        if elf.elfclass != 64:
            raise DumpError(f"{path} is a 32-bit file; only 64-bit kernels are read.")
        self.path = path
        self.elf = elf
        self.order = "<" if elf.little_endian else ">"
        self.relocatable = elf["e_type"] == "ET_REL"
        self.symbols = elf.get_section_by_name(".symtab")
        if self.symbols is None:
            raise DumpError(f"{path} has no symbol table; name a file that was not stripped of it.")
        self._contents: dict[int, bytes] = {}

    def contents(self, index: int) -> bytes:
        if index not in self._contents:
            section = self.elf.get_section(index)
            if section["sh_type"] == "SHT_NOBITS":
                raise DumpError(
                    f"{self.path} holds only debug information; name the file it was split from."
                )
            self._contents[index] = section.data()
        return self._contents[index]

    def sites(self) -> list[CompiledSite]:
        index, start, stop = self._range()
        dtype = np.dtype([(name, self.order + code) for name, code in _ALLOC_TAG])
        if (stop - start) % dtype.itemsize:
            raise DumpError(f"{self.path} has an alloc_tags section of an unknown layout.")
        raw = np.frombuffer(self.contents(index)[start:stop], dtype)
        targets = self._targets(index, start, stop)
        out = []
        for i, (line, *pointers) in enumerate(
            zip(
                *(raw[n].tolist() for n in ("lineno", "filename", "modname", "function")),
                strict=True,
            )
        ):
            at = start + i * dtype.itemsize
            file, module, function = (
                self._string(*targets.get(at + offset, (None, pointer)))
                for offset, pointer in zip((24, 8, 16), pointers, strict=True)
            )
            out.append(CompiledSite(file, line, module, function))
        return out

    def _range(self) -> tuple[int, int, int]:
        """Section index of the tags, and their start and end in it."""
        symbols = []
        for name in ("__start_alloc_tags", "__stop_alloc_tags"):
            found = self.symbols.get_symbol_by_name(name)
            if not found:
                raise ProfilingError(
                    f"{self.path} was built without CONFIG_MEM_ALLOC_PROFILING, or makes no"
                    " allocation: it has no alloc_tags."
                )
            symbols.append(found[0])
        index = symbols[0]["st_shndx"]
        base = 0 if self.relocatable else self.elf.get_section(index)["sh_addr"]
        return index, symbols[0]["st_value"] - base, symbols[1]["st_value"] - base

    def _targets(self, index: int, start: int, stop: int) -> dict[int, tuple[int | None, int]]:
        """Targets of a section's relocated words: {offset: (section, offset or address)}."""
        dtype = np.dtype(
            [(n, self.order + c) for n, c in (("at", "u8"), ("info", "u8"), ("add", "i8"))]
        )
        out: dict[int, tuple[int | None, int]] = {}
        base = 0 if self.relocatable else self.elf.get_section(index)["sh_addr"]
        for section in self.elf.iter_sections("SHT_RELA"):
            if self.relocatable and section["sh_info"] != index:
                continue
            relocations: npt.NDArray[np.void] = np.frombuffer(section.data(), dtype)
            # Addresses of the upper half wrap: nothing is negative here.
            at = relocations["at"].astype(np.uint64) - np.uint64(base)
            for r in relocations[(at >= start) & (at < stop)]:
                symbol = self.symbols.get_symbol(int(r["info"]) >> 32) if self.relocatable else None
                value = (int(r["add"]) + (symbol["st_value"] if symbol else 0)) % (1 << 64)
                out[int(r["at"]) - base] = (symbol["st_shndx"] if symbol else None, value)
        return out

    def _string(self, index: int | None, value: int) -> str:
        if index is None:
            if value == 0:
                return ""
            index, value = self._locate(value)
        data = self.contents(index)
        return printable(data[value : data.index(b"\0", value)])

    def _locate(self, address: int) -> tuple[int, int]:
        for i, section in enumerate(self.elf.iter_sections()):
            start = section["sh_addr"]
            if start and start <= address < start + section["sh_size"]:
                return i, address - start
        raise ValueError(f"no section holds {address:#x}")
