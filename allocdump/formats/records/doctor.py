# SPDX-License-Identifier: LGPL-2.1-or-later
"""Diagnosis of a dump, or findings on the machine at hand, as one JSON document."""

from __future__ import annotations

from ...analysis.diagnosis import Diagnosis
from ...source.host import Host
from .json_text import document


def as_json(found: Diagnosis) -> str:
    """Of a dump or a guest."""
    core, info = found.core, found.vmcoreinfo
    return document(
        "doctor",
        1,
        format=core.format,
        compression=core.compression,
        flattened=core.flattened,
        dump_level=core.dump_level,
        left_out=core.left_out,
        missing_bytes=core.missing_bytes,
        incomplete=core.incomplete,
        release=found.release or None,
        build_id=info.build_id or None,
        build=found.version or None,
        machine=found.machine or None,
        page_bytes=found.page_bytes or None,
        kallsyms={"found": not found.kallsyms, "why": found.kallsyms or None},
        btf={"found": not found.btf, "why": found.btf or None},
        types=found.types or None,
        profiling=found.profiling or None,
        damage=list(found.damage),
        commands=[
            {
                "command": state.command,
                "works": state.works.value,
                "exit_code": state.exit_code,
                "why": list(state.why),
                "remedy": state.remedy or None,
            }
            for state in found.commands
        ],
        bugs=[
            {
                "bug": bug.value.title,
                "effect": bug.value.effect,
                "commit": bug.value.commit or None,
                "fixed": bug.value.fixed or None,
            }
            for bug in found.bugs
        ],
        layouts=[
            {
                "structure": state.structure,
                "variant": state.variant or None,
                "since": state.since or None,
            }
            for state in found.layouts
        ],
    )


def machine(host: Host) -> str:
    """Of the machine at hand."""
    return document(
        "doctor.live",
        1,
        release=host.release or None,
        findings=[
            {
                "check": finding.check,
                "health": finding.health.value,
                "found": finding.found,
                "advice": finding.advice or None,
            }
            for finding in host.findings
        ],
    )
