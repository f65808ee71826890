# SPDX-License-Identifier: LGPL-2.1-or-later
"""Diagnosis of a dump, or findings on the machine at hand, as a document."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ..analysis.diagnosis import CommandState, Diagnosis, LayoutState, Works
from ..kernel.bugs import Bug
from ..sentence import say
from ..source.host import Finding, Host
from ..text import printable
from .model import Column, Document, Fact, Facts, Item, Items, Line, Section, Table

_UNKNOWN = "unknown"


def document(found: Diagnosis) -> Document:
    """The dump, the commands, the kernel's structures, and its known bugs."""
    sections = [
        Section("The dump", [Facts(list(_facts(found)))]),
        Section("Commands", [Items(list(_commands(found.commands)))]),
    ]
    if found.bugs:
        sections.append(Section("Known bugs", [Items([_bug(bug) for bug in found.bugs])]))
    if found.layouts:
        sections.append(
            Section("Structures of the kernel", [Items([*map(_layout, found.layouts)])])
        )
    return Document(
        "Doctor",
        f"Linux {found.release or _UNKNOWN}",
        lead=Fact("Answers", _in_short(found.commands)),
        sections=sections,
        chapters=True,
    )


def _in_short(commands: Sequence[CommandState]) -> Line:
    works = [state.works for state in commands]
    less = works.count(Works.IN_PART)
    return say(
        "{working:count} of {n:count command} work"
        + (", {less:count} of them in part" if less else ""),
        working=len(works) - works.count(Works.NO),
        n=len(works),
        less=less,
    )


def _facts(found: Diagnosis) -> Iterator[Fact]:
    core, info = found.core, found.vmcoreinfo
    yield Fact("File", printable(os.fsencode(core.path)))
    yield Fact("Format", core.describe())
    if core.dump_level is not None:
        yield Fact("Left out", ", ".join(core.left_out) or "nothing")
    yield Fact("Kernel", f"Linux {found.release or _UNKNOWN}")
    if found.version:
        yield Fact("Build", found.version)
    yield Fact("Build ID", info.build_id or _UNKNOWN)
    yield Fact("Machine", found.machine or _UNKNOWN)
    yield Fact("Page size", f"{found.page_bytes:,}" if found.page_bytes else _UNKNOWN)
    yield Fact("Symbols", found.kallsyms or "kallsyms, in the dump")
    yield Fact("Types", found.btf or "BTF, in the dump")
    if found.types == "dwarf":
        yield Fact("Types used", "DWARF")
    yield Fact("Profiling", found.profiling or _UNKNOWN)
    for sentence in found.damage:
        yield Fact("Damage", sentence)


def _commands(commands: Sequence[CommandState]) -> Iterator[Item]:
    """Those of one answer together, in the order of the first of each."""
    groups: dict[tuple[Works, tuple[str, ...], str], list[str]] = {}
    for state in commands:
        groups.setdefault((state.works, state.why, state.remedy), []).append(state.command)
    for works in Works:
        for (answer, why, remedy), names in groups.items():
            if answer is works:
                details: list[Line] = [*why]
                if remedy and not any(remedy.split(": ", 1)[-1] in sentence for sentence in why):
                    details.append(f"It would take {remedy}")
                yield Item(f"{works}: {', '.join(names)}", details)


def _bug(bug: Bug) -> Item:
    known = bug.value
    fix = f"{known.commit} ({known.subject})" if known.commit else ""
    releases = f"in {known.fixed}" if known.fixed else ""
    fixed = " ".join(part for part in (fix, releases) if part)
    return Item(known.title, [known.effect, *([f"fixed: {fixed}"] if fixed else [])])


def _layout(state: LayoutState) -> Item:
    since = f" (since {state.since})" if state.since else ""
    return Item(f"{state.structure}: {state.variant or 'in no way that is known'}{since}")


def machine(host: Host) -> Document:
    """Findings on a machine, the bad ones first."""
    out = Document("Doctor", f"Linux {host.release or _UNKNOWN}")
    columns = [Column("check"), Column("health"), Column("found"), Column("advice", keep="if said")]
    rows = [[f.check, f.health.value, f.found, f.advice] for f in _worst_first(host.findings)]
    out.head = [f"Linux {host.release or _UNKNOWN}, the machine at hand"]
    out.sections = [Section("", [Table(columns, rows, noun="check")])]
    return out


def _worst_first(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: ["bad", "unknown", "good"].index(finding.health))
