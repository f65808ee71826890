# SPDX-License-Identifier: LGPL-2.1-or-later
"""Opening: from a path to a drgn program with types and symbols."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from drgn import FaultError, MissingDebugInfoError, Program, ProgramFlags
from drgn.helpers.linux.kallsyms import load_vmlinux_kallsyms

from ..errors import AllocdumpError, DumpError, TypesError
from . import buildid
from .btf import Btf, BtfError
from .btf_types import BtfTypes
from .core import Core, identify
from .globals import Globals

DebugInfo = Literal["auto", "btf", "dwarf"]

# What to do without types; a session of drgn has no options of ours.
_NAME_VMLINUX = "name the kernel's vmlinux with --vmlinux"
_LOAD_VMLINUX = "load the kernel's vmlinux with drgn -s FILE or prog.load_debug_info([FILE])"

_FINDERS = "allocdump-btf"

# BTF grows with the kernel's types: distribution kernels have 5 to 10 MiB.
_MAX_BTF = 256 << 20


@dataclass
class Dump:
    """An opened core: a drgn program, and what is known about its file."""

    prog: Program
    core: Core
    types: Literal["btf", "dwarf"]
    """Where types come from."""
    vmcoreinfo: str
    warnings: list[str] = field(default_factory=list)
    """Sentences about the dump as a whole that every result should be read with."""
    arguments: tuple[str, ...] = ()
    """What the command line needs to open it again."""


def open_dump(
    core: str | os.PathLike[str] | None,
    *,
    vmlinux: Sequence[str] = (),
    debug_info: DebugInfo = "auto",
) -> Dump:
    """Open a vmcore, or the running kernel.

    :param core: path of a vmcore or ``/proc/kcore``; None is the running kernel
    :param vmlinux: kernel image and modules with DWARF, in any order
    :param debug_info: ``btf``: the BTF in the dump. ``dwarf``: *vmlinux*, or without
        one drgn's usual places. ``auto``: *vmlinux* if given, else BTF, else the
        usual places.
    :raises DumpError: if there is no such dump, or it cannot be read
    :raises TypesError: if there are no types or symbols for it
    """
    info = identify(core if core is not None else "/proc/kcore")
    prog = Program()
    _set_program(prog, info)
    if not prog.flags & ProgramFlags.IS_LINUX_KERNEL:
        raise DumpError(
            f"{info.path} is no Linux kernel dump: it has no VMCOREINFO note. For QEMU,"
            " start the guest with -device vmcoreinfo; for others, use kdump."
        )
    vmcoreinfo = prog["VMCOREINFO"].string_().decode("utf-8", "replace")
    warnings = _completeness(info)
    try:
        types = _load_types(prog, vmcoreinfo, list(vmlinux), debug_info, warnings)
    except AllocdumpError as e:
        if not info.missing_bytes:
            raise
        # The missing end is why: say that first.
        raise DumpError(
            f"{info.path} is truncated: {info.missing_bytes:,} bytes are missing at its"
            f" end, and what is left is too little ({e}) Copy the dump again."
        ) from None
    arguments = ["--live" if core is None else info.path]
    arguments += [word for path in vmlinux for word in ("--vmlinux", path)]
    if debug_info != "auto":
        arguments += ["--debug-info", debug_info]
    return Dump(prog, info, types, vmcoreinfo, warnings, tuple(arguments))


def of_program(prog: Program) -> Dump:
    """Describe a program that somebody else opened.

    Types are those the program has; one without any is given the BTF in its memory.

    :raises DumpError: if it is no Linux kernel
    :raises TypesError: if it has no types, and its memory no BTF
    """
    if not prog.flags & ProgramFlags.IS_LINUX_KERNEL:
        raise DumpError("The program is no Linux kernel; open a vmcore, or the running kernel.")
    info = _core_of(prog)
    if not _has_types(prog):
        _load_btf(prog, _LOAD_VMLINUX)
    return Dump(
        prog,
        info,
        "btf" if _FINDERS in prog.registered_type_finders() else "dwarf",
        prog["VMCOREINFO"].string_().decode("utf-8", "replace"),
        _completeness(info),
    )


def _core_of(prog: Program) -> Core:
    path = prog.core_dump_path
    if prog.flags & ProgramFlags.IS_LIVE:
        return Core(path or "The running kernel", "live")
    try:
        return identify(path or "")
    except DumpError:
        # Moved since, or opened through a descriptor; drgn reads it all the same.
        return Core(path or "The dump", "core")


def _has_types(prog: Program) -> bool:
    """DWARF of modules alone, without the kernel's globals, is not enough."""
    try:
        prog.type("struct page")
        prog.variable("init_task")
    except LookupError:
        return False
    return True


def _completeness(info: Core) -> list[str]:
    if info.missing_bytes:
        return [
            f"The dump is truncated: {info.missing_bytes:,} bytes are missing at its end;"
            " copy it again if you can."
        ]
    if info.incomplete:
        return ["makedumpfile marked the dump as incomplete: it ran out of space."]
    return []


def _set_program(prog: Program, info: Core) -> None:
    try:
        if info.format == "live":
            prog.set_kernel()
        else:
            prog.set_core_dump(info.path)
    except PermissionError:
        raise DumpError(f"{info.path} may only be read by root; run allocdump as root.") from None
    except FileNotFoundError:
        raise DumpError(
            f"{info.path} does not exist; the running kernel needs CONFIG_PROC_KCORE."
        ) from None
    except Exception as e:  # drgn and libkdumpfile raise bare Exception
        raise DumpError(f"{info.path} cannot be opened as a core dump ({e}).") from None


def _load_types(
    prog: Program,
    vmcoreinfo: str,
    vmlinux: list[str],
    debug_info: DebugInfo,
    warnings: list[str],
) -> Literal["btf", "dwarf"]:
    if vmlinux and debug_info == "btf":
        raise TypesError("--vmlinux brings DWARF; leave it out, or --debug-info btf.")
    if vmlinux or debug_info == "dwarf":
        _load_dwarf(prog, vmcoreinfo, vmlinux, warnings)
        return "dwarf"
    try:
        _load_btf(prog, _NAME_VMLINUX)
        return "btf"
    except TypesError as no_btf:
        if debug_info == "btf":
            raise
        try:
            _load_dwarf(prog, vmcoreinfo, [], warnings)
        except TypesError:
            raise no_btf from None
        return "dwarf"


def _load_btf(prog: Program, advice: str) -> None:
    """Register finders of symbols, types and globals; none if one cannot be had.

    They come after those that there are: DWARF that is loaded later has precedence.
    """
    try:
        symbols = load_vmlinux_kallsyms(prog)
    except FaultError:
        raise TypesError(
            f"The kernel's symbol table (kallsyms) is not readable in this dump; {advice}."
        ) from None
    except Exception as e:  # the C helper raises bare Exception, too
        raise TypesError(
            f"The kernel's symbol table (kallsyms) cannot be used ({e}); {advice}."
        ) from None
    try:
        start, stop = (
            symbols(prog, name, None, True)[0].address for name in ("__start_BTF", "__stop_BTF")
        )
        size = stop - start
    except IndexError:
        raise TypesError(
            "The kernel has no type information of its own (CONFIG_DEBUG_INFO_BTF is off);"
            f" {advice}."
        ) from None
    try:
        if not 0 < size <= _MAX_BTF:
            raise BtfError(f"its size is {size}")
        btf = Btf(prog.read(start, size))
    except (FaultError, BtfError) as e:
        raise TypesError(
            f"The type information (BTF) in the dump cannot be used ({e}); {advice}."
        ) from None
    types = BtfTypes(prog, btf)
    prog.register_symbol_finder(_FINDERS, symbols, enable_index=-1)
    prog.register_type_finder(_FINDERS, types.find, enable_index=-1)
    prog.register_object_finder(_FINDERS, Globals(types).find, enable_index=-1)


def _load_dwarf(prog: Program, vmcoreinfo: str, vmlinux: list[str], warnings: list[str]) -> None:
    files = [buildid.inspect(path) for path in vmlinux]
    buildid.check(files, buildid.kernel_build_id(vmcoreinfo))
    try:
        if files:
            prog.load_debug_info([f.path for f in files])
        else:
            prog.load_debug_info(main=True)
    except MissingDebugInfoError:
        pass  # of modules; of the kernel is noticed just below
    try:
        prog.type("struct page")
    except LookupError:
        raise TypesError(
            "No vmlinux with DWARF was found for the dump"
            f" (build ID {buildid.kernel_build_id(vmcoreinfo) or 'unknown'});"
            " name it with --vmlinux, or use the BTF in the dump with --debug-info btf."
        ) from None
    used = {module.build_id for module in prog.modules() if module.build_id}
    for file in files:
        if file.is_module and bytes.fromhex(file.build_id or "") not in used:
            warnings.append(
                f"--vmlinux {file.path} is of no module loaded in the dump"
                f" (build ID {file.build_id or 'missing'}); it was ignored."
            )
