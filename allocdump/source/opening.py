# SPDX-License-Identifier: LGPL-2.1-or-later
"""From a path to a program of drgn that knows its kernel, whoever wrote the file.

kdump's notes have VMCOREINFO. Hypervisors and tools that copy memory know nothing of it, or write
one that is not the kernel's; then it is found in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from drgn import FaultError, Platform, Program, ProgramFlags

from ..arch.known import any_kernels
from ..errors import DumpError
from . import in_memory
from .core import Core, dumped, elf_segments
from .image import BELOW_4_GIB, FROM_HIGHER, IDENTITY, Image, ranges, raw
from .trial import succeeds
from .vmcoreinfo import VmcoreInfo

_NO_KERNEL = (
    "no Linux kernel is found in it: no page holds a VMCOREINFO that fits the memory around it"
)
_RUN = 1 << 20
_MOST_UNREADABLE = 1_000
"""Pages that are in a dump but cannot be read: with more, its headers are damaged."""


def open_program(core: Core) -> tuple[Program, Core, list[str]]:
    """Open the file of a core, an image of memory, or the running kernel.

    :return: the program, what more is known of its file, and warnings
    :raises DumpError: if it cannot be opened, or is of no Linux kernel
    """
    try:
        if core.format == "live":
            prog = Program()
            prog.set_kernel()
            return prog, core, []
        if core.is_image:
            return (*_open_image(core), [])
        return _open_core(core)
    except PermissionError:
        raise DumpError(f"{core.path} {_refused(core)}.") from None
    except FileNotFoundError:
        raise DumpError(
            f"{core.path} does not exist; the running kernel needs CONFIG_PROC_KCORE."
        ) from None


def _refused(core: Core) -> str:
    if core.format == "live" and os.geteuid() == 0:
        return (
            "may not be read here even by root: it takes CAP_SYS_RAWIO, which containers do"
            " not give, and a kernel that is not locked down"
        )
    return "may only be read by root; run allocdump as root"


def _open_core(core: Core) -> tuple[Program, Core, list[str]]:
    failed, prog = None, Program()
    try:
        prog.set_core_dump(core.path)
    except (PermissionError, FileNotFoundError):
        raise
    except Exception as e:  # drgn and libkdumpfile raise bare Exception
        failed = DumpError(f"{core.path} cannot be opened as a core dump ({e}).")
    known = failed is None and bool(prog.flags & ProgramFlags.IS_LINUX_KERNEL)
    if known and (core.missing_bytes or core.incomplete or _fits(prog)):
        return prog, core, []
    found = list(_with_others(core))
    if len(found) == 1:
        was = ["Its VMCOREINFO note is of another kernel; the one found in memory is used."]
        return found[0], core, was if known else []
    if known:
        # What is missing will be told.
        return prog, core, []
    if found:
        raise _several(core, found)
    if failed:
        raise failed
    raise DumpError(
        f"{core.path} is not a dump of a Linux kernel: it has no VMCOREINFO note, and {_NO_KERNEL}."
        " For QEMU, start the guest with -device vmcoreinfo; for others, use kdump."
    )


def _fits(prog: Program) -> bool:
    """False only if the note is certainly of another kernel, or its page tables lead nowhere."""
    return in_memory.is_readable_by(prog, VmcoreInfo.parse(prog["VMCOREINFO"].string_()))


def _with_others(core: Core) -> Iterator[Program]:
    """The core opened with each VMCOREINFO in its memory that fits; none where most is missing."""
    if core.missing_bytes > os.path.getsize(core.path):
        return
    for text in in_memory.texts(_blocks(core)):
        with suppress(Exception):  # drgn and libkdumpfile raise bare Exception
            prog = _opened(core, text)
            if prog and in_memory.is_readable_by(prog, VmcoreInfo.parse(text)):
                yield prog


def _opened(core: Core, text: bytes) -> Program | None:
    """The core with another VMCOREINFO; None if it cannot be opened.

    libkdumpfile 0.5 may crash where that fails: it ends attributes that it had not begun.
    """

    def program() -> Program:
        # The headers of QEMU do not always name the architecture.
        prog = Program(in_memory.platform(text), vmcoreinfo=text)
        prog.set_core_dump(core.path)
        return prog

    return program() if succeeds(program) else None


def _blocks(core: Core) -> Iterable[bytes]:
    if core.format == "elf":
        return Image(elf_segments(core)).blocks()
    return _pages(core)


def _pages(core: Core) -> Iterator[bytes]:
    """The pages of a kdump-compressed dump, of whatever processor."""
    for text in any_kernels(core.frame_bytes):
        readable = False
        for block in _pages_by(core, text):
            readable = readable or bool(block)
            yield block
        if readable:
            return


def _pages_by(core: Core, text: bytes) -> Iterator[bytes]:
    prog = _opened(core, text)
    if not prog:
        return
    size, unreadable = core.frame_bytes, 0
    for frames in dumped(core, max(_RUN // size, 8)):
        first, count = int(frames[0]), len(frames)
        if frames[-1] - first + 1 == count and (run := _read(prog, first * size, count * size)):
            yield run
            continue
        pages = [_read(prog, frame * size, size) for frame in frames.tolist()]
        yield b"".join(pages)
        unreadable += pages.count(b"")
        if unreadable > _MOST_UNREADABLE:
            return


def _read(prog: Program, address: int, size: int) -> bytes:
    try:
        return bytes(prog.read(address, size, physical=True))
    except FaultError:
        return b""


def _several(core: Core, found: list[Program]) -> DumpError:
    names = [VmcoreInfo.parse(p["VMCOREINFO"].string_()).text("OSRELEASE") for p in found]
    return DumpError(
        f"{core.path} holds {len(found)} kernels (Linux {', '.join(sorted(names))}): those but one"
        " are left from before a reboot, and which one ran cannot be told."
    )


def _open_image(core: Core) -> tuple[Program, Core]:
    try:
        if core.format == "raw":
            return _open_raw(core)
        image = ranges(core.path)
    except OSError as e:
        raise DumpError(f"{core.path} cannot be read ({e.strerror}).") from None
    found = [
        prog
        for text in in_memory.texts(image.blocks())
        if (prog := _program(image, text)) and _fits(prog)
    ]
    return _only(core, found), replace(core, missing_bytes=image.missing_bytes)


def _only(core: Core, found: list[Program]) -> Program:
    if not found:
        raise DumpError(f"{core.path} ({core.format}): {_NO_KERNEL}; save it again.")
    if len(found) > 1:
        raise _several(core, found)
    return found[0]


def _open_raw(core: Core) -> tuple[Program, Core]:
    """Of a file of nothing but memory, only its kernel tells where its memory lies."""
    texts = in_memory.texts(raw(core.path).blocks())
    for layout in (IDENTITY, *BELOW_4_GIB, *FROM_HIGHER):
        image = raw(core.path, layout)
        programs = [prog for text in texts if (prog := _program(image, text))]
        found = [prog for prog in programs if _fits(prog) and _is_whole(prog, image)]
        if found:
            return _only(core, found), core
    if texts:
        raise DumpError(
            f"{core.path} holds a VMCOREINFO, but its memory is cut, or not where the kernel had"
            " it; copy it again, or save it as LiME, AVML or ELF."
        )
    raise DumpError(
        f"{core.path} is neither a core dump (kdump-compressed or ELF) nor an image of a Linux"
        " machine's memory; name a vmcore."
    )


def _is_whole(prog: Program, image: Image) -> bool:
    try:
        last = in_memory.last_section(prog, VmcoreInfo.parse(prog["VMCOREINFO"].string_()))
    except (FaultError, ValueError, OverflowError):
        return False
    return last is None or last < image.end


def _program(image: Image, text: bytes) -> Program | None:
    """A program that reads an image with a VMCOREINFO; None if drgn refuses that."""
    platform: Platform | None = in_memory.platform(text)
    if platform is None:
        return None
    try:
        prog = Program(platform, vmcoreinfo=text)
        image.lay_into(prog)
        prog.set_linux_kernel_custom(text, False)
    except Exception:  # drgn raises bare Exception
        return None
    return prog
