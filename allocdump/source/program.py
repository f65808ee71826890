# SPDX-License-Identifier: LGPL-2.1-or-later
"""Opening: from a path to a drgn program with types and symbols."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from drgn import FaultError, MissingDebugInfoError, Program, ProgramFlags, Symbol
from drgn.helpers.linux.kallsyms import load_vmlinux_kallsyms

from ..arch.known import check_words
from ..errors import AllocdumpError, DumpError, TypesError
from . import build_id as buildid
from .btf import Btf, BtfError
from .btf_types import BtfTypes
from .core import Core, identify, reassemble
from .globals import Globals
from .guest import Guest
from .opening import open_program
from .vmcoreinfo import VmcoreInfo

DebugInfo = Literal["auto", "btf", "dwarf"]

# What to do without types; a session of drgn has no options of ours.
_NAME_VMLINUX = "name the kernel's vmlinux with --vmlinux"
_LOAD_VMLINUX = "load the kernel's vmlinux with drgn -s FILE or prog.load_debug_info([FILE])"

_FINDERS = "allocdump-btf"

SymbolFinder = Callable[[Program, str | None, int | None, bool], Sequence[Symbol]]

State = Literal["dead", "running", "paused"]
"""State of the kernel while it is read; that of a dump is dead."""

# BTF grows with the kernel's types: distribution kernels have 5 to 10 MiB.
_MAX_BTF = 256 << 20


@dataclass
class Source:
    """An opened core or guest: a drgn program, and facts about its source."""

    prog: Program
    core: Core
    types: Literal["btf", "dwarf"]
    """Source of types."""
    vmcoreinfo: VmcoreInfo
    warnings: list[str] = field(default_factory=list)
    """Sentences about the dump as a whole; every result should be read with them."""
    arguments: tuple[str, ...] = ()
    """Arguments of the command line that open it again."""
    notices: list[str] = field(default_factory=list)
    """Sentences about the reading itself, for the time before it begins."""
    state: State = "dead"
    guest: Guest | None = None
    failure: AllocdumpError | None = None
    """The reason why it has no types, where it was opened all the same."""

    def close(self) -> None:
        """Hang up on a guest, which runs again if it was paused.

        :raises DumpError: if that fails
        """
        if self.guest:
            self.guest.close()


def open_dump(
    core: str | os.PathLike[str] | None,
    *,
    qemu: str | os.PathLike[str] | None = None,
    pause: bool = False,
    vmlinux: Sequence[str] = (),
    debug_info: DebugInfo = "auto",
    partly: bool = False,
) -> Source:
    """Open a vmcore, the running kernel, or a QEMU guest's.

    :param core: path of a vmcore or ``/proc/kcore``; None is the running kernel
    :param qemu: the QMP socket of a guest to read instead
    :param pause: stop the guest until the dump is closed or this process ends
    :param vmlinux: kernel image and modules with DWARF, in any order
    :param debug_info: ``btf``: the BTF in the dump. ``dwarf``: *vmlinux*, or without
        one drgn's usual places. ``auto``: *vmlinux* if given, else BTF, else the
        usual places.
    :param partly: open a vmcore without types, too: :attr:`Source.failure` says why it has none
    :raises DumpError: if there is no such dump, or it cannot be read
    :raises TypesError: if there are no types or symbols for it
    :raises UnsupportedError: if its processor has 32 bits, or the other byte order
    """
    if qemu is not None:
        return _open_guest(Guest(qemu), pause, vmlinux, debug_info)
    info = identify(core if core is not None else "/proc/kcore")
    prog, info, warnings = open_program(info)
    check_words(prog.platform)
    opened = Source(prog, info, "btf", _vmcoreinfo(prog), _completeness(info) + warnings)
    opened.state = "running" if info.format == "live" else "dead"
    if info.flattened:
        opened.notices.append(
            f"{info.path} is a flattened dump, which takes longer to read than one that is"
            f" reassembled with: {reassemble(info.path)}"
        )
    try:
        _load_types(opened, vmlinux, debug_info)
    except AllocdumpError as e:
        failure = _for_lack_of(info, e)
        if not partly:
            raise failure from None
        opened.failure = failure
    opened.arguments = _arguments(("--live" if core is None else info.path,), vmlinux, debug_info)
    return opened


def _for_lack_of(info: Core, error: AllocdumpError) -> AllocdumpError:
    """The error; of a truncated dump, the missing end is why, and said first."""
    if not info.missing_bytes:
        return error
    return DumpError(
        f"{info.path} is truncated: {info.missing_bytes:,} bytes are missing at its"
        f" end, and what is left is too little ({error}) Copy the dump again."
    )


def _arguments(
    what: tuple[str, ...], vmlinux: Sequence[str], debug_info: DebugInfo
) -> tuple[str, ...]:
    words = [*what, *(word for path in vmlinux for word in ("--vmlinux", path))]
    return (*words, "--debug-info", debug_info) if debug_info != "auto" else tuple(words)


def _open_guest(guest: Guest, pause: bool, vmlinux: Sequence[str], debug_info: DebugInfo) -> Source:
    prog = Program()
    try:
        guest.set_program(prog)
        check_words(prog.platform)
        if pause:
            guest.pause()
        opened = Source(prog, Core(guest.path, "qemu"), "btf", _vmcoreinfo(prog))
        opened.guest, opened.state = guest, "running" if guest.is_running() else "paused"
        opened.notices = guest.notices()
        _load_types(opened, vmlinux, debug_info)
        words = ("--qemu", guest.path, *(("--pause",) if pause else ()))
        opened.arguments = _arguments(words, vmlinux, debug_info)
    except BaseException as e:
        gone = isinstance(e, Exception) and not guest.is_there()
        guest.close()
        if gone:
            raise DumpError(f"{guest.path} went away while it was read ({e}).") from None
        raise
    return opened


def _vmcoreinfo(prog: Program) -> VmcoreInfo:
    return VmcoreInfo.parse(prog["VMCOREINFO"].string_())


def of_program(prog: Program) -> Source:
    """Describe a program that the caller opened.

    Types are those the program has; one without any is given the BTF in its memory.

    :raises DumpError: if it is no Linux kernel
    :raises TypesError: if it has no types, and its memory no BTF
    :raises UnsupportedError: if its processor has 32 bits, or the other byte order
    """
    if not prog.flags & ProgramFlags.IS_LINUX_KERNEL:
        raise DumpError("The program is not a Linux kernel; open a vmcore, or the running kernel.")
    check_words(prog.platform)
    info = _core_of(prog)
    if not _has_types(prog):
        _load_btf(prog, f"{_LOAD_VMLINUX}: {wanted_vmlinux(_vmcoreinfo(prog))}")
    return Source(
        prog,
        info,
        "btf" if _FINDERS in prog.registered_type_finders() else "dwarf",
        _vmcoreinfo(prog),
        _completeness(info),
        state="running" if prog.flags & ProgramFlags.IS_LIVE else "dead",
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
    """Tell if there are types of the kernel: DWARF of modules alone is not enough."""
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


def _load_types(dump: Source, vmlinux: Sequence[str], debug_info: DebugInfo) -> None:
    if vmlinux and debug_info == "btf":
        raise TypesError(
            "--vmlinux brings DWARF, which --debug-info btf does without; leave one of them out."
        )
    if vmlinux or debug_info == "dwarf":
        _load_dwarf(dump, vmlinux)
        return
    try:
        _load_btf(dump.prog, f"{_NAME_VMLINUX}: {wanted_vmlinux(dump.vmcoreinfo)}")
    except TypesError as no_btf:
        if debug_info == "btf":
            raise
        try:
            _load_dwarf(dump, [])
        except TypesError:
            raise no_btf from None


def wanted_vmlinux(info: VmcoreInfo) -> str:
    """The vmlinux that brings types for a dump, by all that is known of it."""
    release, build_id = info.text("OSRELEASE") or "an unknown release", info.build_id or "unknown"
    return f"that of Linux {release}, build ID {build_id}"


def symbols_of(prog: Program, advice: str) -> SymbolFinder:
    """Finder of the symbols in the kernel's own memory (kallsyms).

    :param advice: to those who have none
    :raises TypesError: if there are none
    """
    try:
        symbols: SymbolFinder = load_vmlinux_kallsyms(prog)
        return symbols
    except FaultError:
        raise TypesError(
            f"The kernel's symbol table (kallsyms) is not readable in this dump; {advice}."
        ) from None
    except Exception as e:  # the C helper raises bare Exception, too
        raise TypesError(
            f"The kernel's symbol table (kallsyms) cannot be used ({e}); {advice}."
        ) from None


def btf_of(prog: Program, symbols: SymbolFinder, advice: str) -> Btf:
    """The BTF in the kernel's own memory.

    :param advice: to those who have none
    :raises TypesError: if there is none
    """
    try:
        start, stop = (
            symbols(prog, name, None, True)[0].address for name in ("__start_BTF", "__stop_BTF")
        )
        size = stop - start
        if not start:
            raise TypesError(
                "The kernel hides its symbols even from root (kernel.kptr_restrict is 2);"
                " run: sysctl kernel.kptr_restrict=1"
            )
    except IndexError:
        raise TypesError(
            "The kernel has no type information of its own (CONFIG_DEBUG_INFO_BTF is off);"
            f" {advice}."
        ) from None
    try:
        if not 0 < size <= _MAX_BTF:
            raise BtfError(f"its size is {size}")
        return Btf(prog.read(start, size))
    except (FaultError, BtfError) as e:
        raise TypesError(
            f"The type information (BTF) in the dump cannot be used ({e}); {advice}."
        ) from None


def _load_btf(prog: Program, advice: str) -> None:
    """Register finders of symbols, types and globals; none of them without BTF.

    They come after those that there are: DWARF that is loaded later has precedence.
    """
    symbols = symbols_of(prog, advice)
    types = BtfTypes(prog, btf_of(prog, symbols, advice))
    prog.register_symbol_finder(_FINDERS, symbols, enable_index=-1)
    prog.register_type_finder(_FINDERS, types.find, enable_index=-1)
    prog.register_object_finder(_FINDERS, Globals(types).find, enable_index=-1)


def _load_dwarf(dump: Source, vmlinux: Sequence[str]) -> None:
    prog = dump.prog
    dump.types = "dwarf"
    files = [buildid.inspect(path) for path in vmlinux]
    buildid.check(files, dump.vmcoreinfo.build_id)
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
            f" (build ID {dump.vmcoreinfo.build_id or 'unknown'});"
            " name it with --vmlinux, or use the BTF in the dump with --debug-info btf."
        ) from None
    used = {module.build_id for module in prog.modules() if module.build_id}
    for file in files:
        if file.is_module and bytes.fromhex(file.build_id or "") not in used:
            dump.warnings.append(
                f"--vmlinux {file.path} is of no module loaded in the dump"
                f" (build ID {file.build_id or 'missing'}); it was ignored."
            )
