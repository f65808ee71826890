# SPDX-License-Identifier: LGPL-2.1-or-later
"""Write a release's facts from its own types: ``python -m tests.releases 6.18 vmlinux``."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import click
from drgn import Architecture, Platform, Program, Type, TypeKind, sizeof
from elftools.elf.elffile import ELFFile

from allocdump.source.btf import Btf
from allocdump.source.btf_types import BtfTypes
from allocdump.source.globals import Globals

from ..fakekernel import FLAGS
from .facts import CONSTANTS, FOLDER, PROFILING, WANTED

_HEAD = "# Facts of a release's structures, in bytes from their start: see tests/releases.\n"


@click.command()
@click.argument("release")
@click.argument("btf", type=click.Path(path_type=Path, exists=True))
@click.option("--profiling", type=click.Path(path_type=Path, exists=True), help="Another's BTF.")
@click.option("--source", "sources", multiple=True, help="Where the types are from, in words.")
def main(release: str, btf: Path, profiling: Path | None, sources: tuple[str, ...]) -> None:
    """Write docs/layouts/RELEASE.toml.

    BTF is that of a vmlinux, or the bare section. Types and members that only
    CONFIG_MEM_ALLOC_PROFILING adds are taken from another kernel, where it is of one without.
    """
    progs = [_program(path) for path in (btf, profiling) if path]
    parts = [_HEAD, f'release = "{release}"\nsources = [{_quoted(sources)}]\n']
    parts += [part for name, members in WANTED.items() if (part := _type(progs, name, members))]
    found = [f"{name} = {value}\n" for name in CONSTANTS for value in _constant(progs, name)]
    parts.append("[constants]\n" + "".join(found))
    (FOLDER / f"{release}.toml").write_text("\n".join(parts))


def _program(path: Path) -> Program:
    prog = Program(Platform(Architecture.X86_64, FLAGS))
    types = BtfTypes(prog, Btf(_btf(path)))
    prog.register_type_finder("btf", types.find, enable_index=0)
    prog.register_object_finder("btf", Globals(types).find, enable_index=0)
    return prog


def _btf(path: Path) -> bytes:
    data = path.read_bytes()
    if not data.startswith(b"\x7fELF"):
        return data
    section = ELFFile(BytesIO(data)).get_section_by_name(".BTF")
    assert section, f"{path} has no BTF"
    return bytes(section.data())


def _quoted(texts: tuple[str, ...]) -> str:
    return ", ".join(f'"{text}"' for text in texts)


def _type(progs: list[Program], name: str, members: str) -> str:
    """A table of the file; empty if no kernel has the type."""
    kind, _, tag = name.partition(" ")
    asked = tag if kind == "typedef" else name
    asked_of = progs if name in PROFILING else progs[:1]
    found = [type_ for prog in asked_of if (type_ := _found(prog, asked)) is not None]
    if not found:
        return ""
    if kind == "enum":
        lines = [f"{name} = {value}" for name, value in found[0].enumerators or ()]
        return "\n".join([f"[{kind}.{tag}]", *lines, ""])
    wanted = members.split()
    # A kernel with profiling has all members that one without has, in larger structures.
    type_ = max(found, key=lambda type_: sum(m.split()[0] in wanted for m in _members(type_)))
    lines = [line for line in _members(type_) if line.split()[0] in wanted]
    return "\n".join([f"[{kind}.{tag}]", f"sizeof = {sizeof(type_)}", *lines, ""])


def _found(prog: Program, name: str) -> Type | None:
    try:
        return prog.type(name)
    except LookupError:
        return None


def _members(type_: Type, start: int = 0) -> Iterator[str]:
    """``name = "OFFSET TYPE"`` of each member, those of members without a name included."""
    while type_.kind == TypeKind.TYPEDEF:
        type_ = type_.type
    for member in type_.members or ():
        at = start + member.bit_offset
        if member.name is None:
            yield from _members(member.type, at)
        elif member.bit_field_size is not None:
            bits = f"{at // 8}.{at % 8} {member.type.type_name()}:{member.bit_field_size}"
            yield f'{member.name} = "{bits}"'
        else:
            yield f'{member.name} = "{at // 8} {member.type.type_name()}"'


def _constant(progs: list[Program], name: str) -> Iterator[int]:
    for prog in progs[:1]:
        try:
            yield int(prog.constant(name).value_())
        except LookupError:
            return


if __name__ == "__main__":
    main()
