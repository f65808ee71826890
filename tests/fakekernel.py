# SPDX-License-Identifier: LGPL-2.1-or-later
"""A synthetic kernel: drgn with registered types, objects and memory, for what no dump shows."""

from __future__ import annotations

import struct

from drgn import (
    Architecture,
    FaultError,
    Object,
    Platform,
    PlatformFlags,
    Program,
    Type,
    TypeEnumerator,
    TypeMember,
    TypeParameter,
    sizeof,
)

_MASK = 0xFFFF_FFFF_8000_0000

FLAGS = PlatformFlags.IS_64_BIT | PlatformFlags.IS_LITTLE_ENDIAN


class FakeKernel:
    """Memory is a dictionary of pages; what is not there is excluded."""

    def __init__(
        self, architecture: Architecture = Architecture.X86_64, page_shift: int = 12
    ) -> None:
        self.prog = Program(Platform(architecture, FLAGS))
        self.page_shift = page_shift
        self.pages: dict[int, bytearray] = {}
        self.types: dict[str, Type] = {}
        self.objects: dict[str, Object] = {}
        prog = self.prog
        prog.add_memory_segment(0, (1 << 64) - 1, self._read)
        prog.register_type_finder(
            "fake", lambda prog, kinds, name, filename: self.types.get(name), enable_index=0
        )
        prog.register_object_finder(
            "fake", lambda prog, name, flags, filename: self.objects.get(name), enable_index=0
        )
        self.u32 = prog.int_type("unsigned int", 4, False)
        self.u64 = prog.int_type("unsigned long", 8, False)
        self.objects["PAGE_SHIFT"] = Object(prog, self.u32, page_shift)
        self.string = prog.pointer_type(prog.int_type("char", 1, True))
        counters = self.struct("alloc_tag_counters", bytes=self.u64, calls=self.u64)
        codetag = self.struct(
            "codetag",
            flags=self.u32,
            lineno=self.u32,
            modname=self.string,
            function=self.string,
            filename=self.string,
        )
        self.struct("alloc_tag", ct=codetag, counters=prog.pointer_type(counters))
        self.module_load(3)

    def struct(self, tag: str, **members: Type) -> Type:
        fields, offset = [], 0
        for name, type_ in members.items():
            fields.append(TypeMember(type_, name, offset * 8))
            offset += sizeof(type_) if type_.is_complete() else 0
        self.types[tag] = self.prog.struct_type(tag, offset, fields)
        return self.types[tag]

    def enumerators(self, tag: str, **values: int) -> Type:
        """Add an enumerated type, whose constants are found by their names."""
        names = [TypeEnumerator(name, value) for name, value in values.items()]
        self.types[tag] = type_ = self.prog.enum_type(tag, self.u32, names)
        self.objects |= {name: Object(self.prog, type_, value) for name, value in values.items()}
        return type_

    def module_load(self, parameters: int) -> None:
        """Code tags of modules are announced with so many parameters: 3 since Linux 6.15."""
        prog = self.prog
        word = TypeParameter(self.u64)
        load = prog.function_type(prog.void_type(), [word] * parameters, False)
        self.struct("codetag_type_desc", module_load=prog.pointer_type(load))

    def cpus(self, offsets: list[int], possible: int) -> None:
        """Per-CPU areas at *offsets*; *possible* is the mask of possible CPUs."""
        array = self.prog.array_type(self.u64, len(offsets))
        self.objects["__per_cpu_offset"] = Object(self.prog, array, offsets)
        bits = self.prog.array_type(self.u64, 1)
        mask = self.struct("cpumask", bits=bits)
        self.objects["nr_cpu_ids"] = Object(self.prog, self.u32, len(offsets))
        self.write(_MASK, struct.pack("<Q", possible))
        self.objects["__cpu_possible_mask"] = Object(self.prog, mask, address=_MASK)

    def write(self, address: int, data: bytes) -> None:
        size = 1 << self.page_shift
        while data:
            page = self.pages.setdefault(address >> self.page_shift, bytearray(size))
            at = address % size
            part = data[: size - at]
            page[at : at + len(part)] = part
            address, data = address + len(part), data[len(part) :]

    def tag(self, address: int, line: int, names: tuple[int, int, int], counters: int) -> None:
        """Write a struct alloc_tag; *names* point at module, function and file."""
        self.write(address, struct.pack("<II4Q", 0, line, *names, counters))

    def _read(self, address: int, count: int, offset: int, physical: bool) -> bytes:
        out, size = b"", 1 << self.page_shift
        while count:
            page = self.pages.get(address >> self.page_shift)
            if page is None:
                raise FaultError("Excluded page", address)
            part = bytes(page[address % size :][:count])
            out, address, count = out + part, address + len(part), count - len(part)
        return out
