# SPDX-License-Identifier: LGPL-2.1-or-later
"""Build IDs: they tell, before any debug information is read, if a vmlinux fits a dump."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TypesError


@dataclass(frozen=True)
class DebugFile:
    """A file given with ``--vmlinux``: a kernel image or a module."""

    path: str
    build_id: str | None
    is_module: bool
    has_dwarf: bool


def inspect(path: str) -> DebugFile:
    """Read build ID and kind of an ELF file with pyelftools.

    :raises TypesError: if *path* is not an ELF file
    """
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import NoteSection

    try:
        with open(path, "rb") as file:
            elf = ELFFile(file)
            build_id = None
            names = set()
            for section in elf.iter_sections():
                names.add(section.name)
                if isinstance(section, NoteSection):
                    for note in section.iter_notes():
                        if note["n_type"] == "NT_GNU_BUILD_ID":
                            build_id = str(note["n_desc"])
            return DebugFile(
                path,
                build_id,
                elf["e_type"] == "ET_REL",
                bool({".debug_info", ".zdebug_info"} & names),
            )
    except OSError as e:
        raise TypesError(f"--vmlinux {path} cannot be read: {e.strerror}.") from None
    except (ELFError, ConstructError, ValueError, KeyError, AttributeError, TypeError):
        raise TypesError(
            f"--vmlinux {path} is not an ELF file; name an uncompressed vmlinux"
            " (a bzImage or vmlinuz will not do) or a .ko."
        ) from None


def check(files: list[DebugFile], dump_build_id: str | None) -> None:
    """Refuse a file that does not belong to the dump.

    :raises TypesError: a kernel image without DWARF, or of another build than the dump's
    """
    for file in files:
        if not file.has_dwarf:
            raise TypesError(
                f"--vmlinux {file.path} has no DWARF debug information; name the unstripped"
                " file, or leave the option out to use the BTF in the dump."
            )
        if file.is_module or dump_build_id is None:
            continue
        if file.build_id != dump_build_id:
            raise TypesError(
                f"--vmlinux {file.path} is of another kernel: its build ID is"
                f" {file.build_id or 'missing'}, the dump's is {dump_build_id}."
            )
