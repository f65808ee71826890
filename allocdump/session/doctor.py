# SPDX-License-Identifier: LGPL-2.1-or-later
"""Diagnosis of a dump, by the checks that the commands themselves begin with.

Reads headers, types, call sites and the descriptions of memory, never memory itself: what is
missing inside of it shows only later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from ..analysis.diagnosis import CommandState, Diagnosis, LayoutState, Works
from ..commands import COMMANDS
from ..errors import AllocdumpError, DamagedError, ProfilingError, TypesError
from ..kernel.bugs import bugs_of
from ..kernel.damage import damage_cause
from ..kernel.layouts import LAYOUTS, ModuleCounters, ModuleTags, UnknownLayoutError
from ..kernel.walk import is_damage
from ..source.program import Source, btf_of, symbols_of, wanted_vmlinux
from .session import Session

Check = Callable[[Session], list[str]]
"""Returns sentences on what makes the answer less; raises what ends the command."""

_PROFILING = "a kernel with CONFIG_MEM_ALLOC_PROFILING=y, booted with sysctl.vm.mem_profiling=1"
_WRONG_USAGE = 2


class _StandstillError(AllocdumpError):
    exit_code = _WRONG_USAGE


def _nothing(dump: Session) -> list[str]:
    return dump.warnings


def _changes(dump: Session) -> list[str]:
    if dump.standstill:
        raise _StandstillError(dump.standstill)
    dump.sampler()
    return dump.warnings


def _counters(dump: Session) -> list[str]:
    return dump.report().warnings


def _memory(dump: Session) -> list[str]:
    report = dump.memory_report()
    problems = [f"{problem}." for problem in dump.pagemap.problems()]
    said = [*report.warnings, *problems]
    return [*said, *_missing_memory(dump, said), *_unknown_layouts(dump)]


def _both(dump: Session) -> list[str]:
    return [*_counters(dump), *_memory(dump)]


def _all(dump: Session) -> list[str]:
    """As triage does: it goes on without what is missing."""
    _ = dump.kernel.arch
    found = []
    for check in (_counters, _memory):
        try:
            found += check(dump)
        except Exception as e:
            found.append(_failure(e)[0])
    return found


CHECKS: dict[str, Check] = {
    "triage": _all,
    "report": _counters,
    "watch": _changes,
    "pages": _memory,
    "objects": _memory,
    "whois": _memory,
    "usage": _memory,
    "leaks": _memory,
    "retained": _memory,
    "paths": _memory,
    "audit": _both,
    "diff": _counters,
    "shell": _nothing,
}
"""The commands that read a core, and what each begins with."""


def diagnose(dump: Session) -> Diagnosis:
    """Find out what a session can answer.

    :param dump: its source may have no types
    """
    source, info = dump.source, dump.source.vmcoreinfo
    has_types = source.failure is None
    kallsyms, btf = _own_types(source)
    return Diagnosis(
        core=source.core,
        vmcoreinfo=info,
        version=dump.system.version if has_types else "",
        machine=_machine(dump),
        page_bytes=_page_bytes(dump),
        kallsyms=kallsyms,
        btf=btf,
        types=source.types if has_types else "",
        profiling=_profiling(dump) if has_types else "",
        damage=[*source.warnings, *(_missing_memory(dump) if has_types else [])],
        layouts=_layouts(dump) if has_types else [],
        bugs=sorted(bugs_of(dump.kernel), key=lambda bug: bug.name) if has_types else [],
        commands=[_state(dump, name) for name in COMMANDS if name in CHECKS],
    )


def _state(dump: Session, name: str) -> CommandState:
    try:
        if dump.source.failure:
            raise dump.source.failure
        less = CHECKS[name](dump)
    except Exception as e:
        why, code = _failure(e)
        return CommandState(name, Works.NO, code, (why,), _remedy(dump, e))
    why_less = tuple(dict.fromkeys(less))
    return CommandState(name, Works.IN_PART if why_less else Works.YES, 0, why_less)


def _failure(error: Exception) -> tuple[str, int]:
    """The sentence and the exit code for what would end a command.

    :raises Exception: the error itself if it is a bug
    """
    if isinstance(error, AllocdumpError):
        return str(error), error.exit_code
    if is_damage(error):
        return f"The dump lacks memory that this begins with ({error}).", DamagedError.exit_code
    raise error


def _remedy(dump: Session, error: Exception) -> str:
    if isinstance(error, TypesError):
        return f"--vmlinux FILE: {wanted_vmlinux(dump.source.vmcoreinfo)}"
    if isinstance(error, ProfilingError):
        return _PROFILING
    broken = isinstance(error, DamagedError) or is_damage(error)
    cause = damage_cause(dump.kernel) if broken and not dump.source.failure else ""
    return f"another dump: {cause}" if cause else ""


def _missing_memory(dump: Session, said: Sequence[str] = ()) -> list[str]:
    """A sentence on why memory may be missing, unless it was said."""
    cause = damage_cause(dump.kernel)
    known = any(cause in sentence for sentence in said)
    return [f"Memory may be missing: {cause}."] if cause and not known else []


def _unknown_layouts(dump: Session) -> list[str]:
    found = []
    for layout in LAYOUTS:
        try:
            _ = dump.kernel.layouts[layout]
        except UnknownLayoutError as e:
            found.append(f"{e}: what needs it fails.")
    return found


def _layouts(dump: Session) -> list[LayoutState]:
    found = []
    for layout in LAYOUTS:
        if layout in (ModuleTags, ModuleCounters) and not dump.kernel.layouts.profiling:
            continue
        try:
            variant = dump.kernel.layouts[layout].value
            found.append(LayoutState(layout.structure(), variant.text, variant.since))
        except UnknownLayoutError:
            found.append(LayoutState(layout.structure(), "", ""))
    return found


def _own_types(source: Source) -> tuple[str, str]:
    """Faults of the kernel's own symbols, and of its own types; empty if there are none."""
    if source.failure is None and source.types == "btf":
        return "", ""
    try:
        symbols = symbols_of(source.prog, "a vmlinux is needed")
    except TypesError as e:
        return str(e), "not to be found without kallsyms"
    try:
        btf_of(source.prog, symbols, "a vmlinux is needed")
    except TypesError as e:
        return "", str(e)
    return "", ""


def _machine(dump: Session) -> str:
    with suppress(AllocdumpError, LookupError):
        return dump.kernel.arch.name
    platform = dump.prog.platform
    return platform.arch.name.lower() if platform else ""


def _page_bytes(dump: Session) -> int:
    with suppress(LookupError):
        return dump.kernel.page.bytes
    return 0


def _profiling(dump: Session) -> str:
    try:
        return dump.origin.profiling.describe()
    except Exception as e:
        _failure(e)
        return ""
