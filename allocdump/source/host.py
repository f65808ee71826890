# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine at hand: whether its next dump will tell who allocated its memory.

Reads what root and others may read below /proc, /sys and /etc; nothing of the kernel's memory.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ..text import printable
from .btf import Btf, BtfError, BtfKind
from .core import Core, left_out

_MOST = 1 << 20
"""Bytes of a settings file that are read."""


class Health(StrEnum):
    """Answers to whether something is as it should be."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    check: str
    health: Health
    found: str
    """In words."""
    advice: str = ""
    """A clause; empty if there is nothing to do."""


@dataclass(frozen=True)
class Host:
    """A machine, and whether it is ready to be dumped."""

    release: str
    findings: Sequence[Finding]


def examine(root: Path = Path("/")) -> Host:
    """Look at a machine.

    :param root: the folder that its /proc, /sys and /etc are in
    """
    settings = _KdumpSettings.of(root)
    findings = [
        _profiling(root),
        _boot(root),
        _types(root),
        _reserved(root),
        _loaded(root),
        _configured(settings),
        _level(root, settings),
        _panics(root),
    ]
    return Host(_line(root / "proc/sys/kernel/osrelease") or "", findings)


def _line(path: Path) -> str | None:
    """The text of a small file, in one line and printable; None if it is unreadable."""
    raw = _text(path)
    return None if raw is None else printable(raw.strip().encode(errors="surrogateescape"))


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_MOST).decode(errors="surrogateescape")
    except OSError:
        return None


def _profiling(root: Path) -> Finding:
    check, state = "allocation profiling", _line(root / "proc/sys/vm/mem_profiling")
    if state is None:
        return Finding(
            check,
            Health.BAD,
            "not built in",
            "build the kernel with CONFIG_MEM_ALLOC_PROFILING=y (Linux 6.10 or later)",
        )
    if state == "1":
        return Finding(check, Health.GOOD, "on")
    # Memory that was allocated before has no call site.
    return Finding(check, Health.BAD, "off", "boot with sysctl.vm.mem_profiling=1")


def _boot(root: Path) -> Finding:
    """The parameter of the next boot, as far as this one's tells."""
    check = "profiling from boot on"
    words = re.findall(
        r"(?:^|\s)sysctl\.vm\.mem_profiling=(\S*)", _line(root / "proc/cmdline") or ""
    )
    if not words:
        return Finding(
            check,
            Health.UNKNOWN,
            "the kernel's command line does not say",
            "add sysctl.vm.mem_profiling=1 to it, unless the kernel was built with"
            " CONFIG_MEM_ALLOC_PROFILING_ENABLED_BY_DEFAULT=y",
        )
    good = words[-1].split(",")[0] == "1"
    advice = "" if good else "make it sysctl.vm.mem_profiling=1"
    return Finding(check, Health.GOOD if good else Health.BAD, words[-1], advice)


def _types(root: Path) -> Finding:
    check = "types in the kernel (BTF)"
    if (root / "sys/kernel/btf/vmlinux").exists():
        return Finding(check, Health.GOOD, "there: a dump needs no vmlinux")
    return Finding(
        check,
        Health.BAD,
        "none",
        "build the kernel with CONFIG_DEBUG_INFO_BTF=y, or keep its vmlinux with debug information",
    )


def _reserved(root: Path) -> Finding:
    check, size = "memory for the crash kernel", _line(root / "sys/kernel/kexec_crash_size")
    advice = "add crashkernel=SIZE to the kernel's command line, as the distribution has it"
    if size is None or not size.isdecimal():
        return Finding(check, Health.UNKNOWN, "not to be read", "build with CONFIG_CRASH_DUMP=y")
    if int(size) == 0:
        return Finding(check, Health.BAD, "none", advice)
    return Finding(check, Health.GOOD, f"{int(size) >> 20:,} MiB")


def _loaded(root: Path) -> Finding:
    check, loaded = "crash kernel", _line(root / "sys/kernel/kexec_crash_loaded")
    if loaded == "1":
        return Finding(check, Health.GOOD, "loaded")
    if loaded is None:
        return Finding(check, Health.UNKNOWN, "not to be read")
    return Finding(check, Health.BAD, "not loaded", "start the kdump service, and see its log")


@dataclass(frozen=True)
class _KdumpSettings:
    """Settings of a distribution's kdump."""

    path: str
    """Of the file; empty if there is none."""
    enabled: bool = True
    arguments: str | None = None
    """Of makedumpfile; None if it is not named."""
    other: str = ""
    """The program that is named instead of makedumpfile."""

    @classmethod
    def of(cls, root: Path) -> _KdumpSettings:
        """The first file of these that is there."""
        for path, read in {
            "etc/kdump.conf": cls._fedora,
            "etc/default/kdump-tools": cls._debian,
        }.items():
            text = _text(root / path)
            if text is not None:
                return read(f"/{path}", text)
        return cls("", enabled=False)

    @classmethod
    def _fedora(cls, path: str, text: str) -> _KdumpSettings:
        """As kdump.conf(5) has it; without a word of it, -l --message-level 7 -d 31."""
        collector = "makedumpfile -l --message-level 7 -d 31"
        for line in text.splitlines():
            word, _, rest = line.strip().partition(" ")
            if word == "core_collector":
                collector = rest.strip()
        program, _, arguments = collector.partition(" ")
        if not program.endswith("makedumpfile"):
            return cls(path, other=printable(program.encode(errors="surrogateescape")))
        return cls(path, arguments=arguments)

    @classmethod
    def _debian(cls, path: str, text: str) -> _KdumpSettings:
        """As kdump-tools(5) has it; without a word of it, -c -d 31."""
        values = {"USE_KDUMP": "0", "MAKEDUMP_ARGS": "-c -d 31"}
        for line in text.splitlines():
            name, equals, value = line.strip().partition("=")
            if equals and name in values:
                values[name] = value.strip().strip("\"'")
        return cls(path, values["USE_KDUMP"] == "1", values["MAKEDUMP_ARGS"])

    @property
    def level(self) -> int | None:
        """``-d``; None if it is not given, or makedumpfile takes several."""
        try:
            words = shlex.split(self.arguments or "")
        except ValueError:
            return None
        found = None
        for i, word in enumerate(words):
            match = re.fullmatch(r"-(?!-)[A-Za-z]*d(\d*)", word)
            if match:
                value = match[1] or (words[i + 1] if i + 1 < len(words) else "")
                found = int(value) if re.fullmatch(r"[0-9]{1,2}", value) else None
        return found


def _configured(settings: _KdumpSettings) -> Finding:
    check = "kdump"
    if not settings.path:
        return Finding(
            check,
            Health.BAD,
            "neither /etc/kdump.conf nor /etc/default/kdump-tools",
            "install kexec-tools (kdump-utils) or kdump-tools",
        )
    if not settings.enabled:
        return Finding(check, Health.BAD, f"off in {settings.path}", "set USE_KDUMP=1 there")
    return Finding(check, Health.GOOD, settings.path)


def _level(root: Path, settings: _KdumpSettings) -> Finding:
    check, level = "dump level", settings.level
    if not settings.path:
        return Finding(check, Health.UNKNOWN, "nothing tells")
    if settings.other:
        return Finding(check, Health.GOOD, f"{settings.other} copies all memory")
    if level is None:
        return Finding(check, Health.UNKNOWN, f"no one level in {settings.path}")
    found = f"-d {level}: without {', '.join(left_out(level)) or 'nothing'}" if level else "-d 0"
    if not Core("", "kdump", dump_level=level).excludes_user_pages:
        return Finding(check, Health.GOOD, found)
    match _has_compound_info(root / "sys/kernel/btf/vmlinux"):
        case None:
            return Finding(check, Health.UNKNOWN, found, _tails(level))
        case True:
            return Finding(check, Health.BAD, found, _tails(level))
    return Finding(check, Health.GOOD, found)


def _tails(level: int) -> str:
    return (
        f"capture with -d {level & ~8}: makedumpfile up to 1.7.9 takes tail pages of Linux 7.1 and"
        " later for user data, and drops some"
    )


def _has_compound_info(path: Path) -> bool | None:
    """Tell if ``struct page`` has the member that makedumpfile up to 1.7.9 does not know: see
    :func:`allocdump.kernel.damage.tail_pages_dropped`. None if the kernel's types are
    unreadable."""
    try:
        btf = Btf(path.read_bytes())
        (page, *_) = btf.find("page", BtfKind.STRUCT)
        return _member(btf, page, "compound_info", 8)
    except (OSError, BtfError, ValueError):
        return None


def _member(btf: Btf, type_id: int, name: str, depth: int) -> bool:
    """Tell if a structure has a member, in the unnamed ones within it, too."""
    for member in btf.members(btf.record(type_id)):
        if member.name == name:
            return True
        if member.name or not depth:
            continue
        inner = btf.record(member.type_id)
        if inner.kind in (BtfKind.STRUCT, BtfKind.UNION) and _member(
            btf, member.type_id, name, depth - 1
        ):
            return True
    return False


def _panics(root: Path) -> Finding:
    check, value = "panic when memory runs out", _line(root / "proc/sys/vm/panic_on_oom")
    if value is None:
        return Finding(check, Health.UNKNOWN, "not to be read")
    if value == "0":
        return Finding(
            check,
            Health.UNKNOWN,
            "no: the kernel kills a task, and there is no dump",
            "sysctl vm.panic_on_oom=1, if a dump is wanted then",
        )
    return Finding(check, Health.GOOD, "yes")
