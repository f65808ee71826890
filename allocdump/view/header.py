# SPDX-License-Identifier: LGPL-2.1-or-later
"""Identity of a dump: as the line above its contents, and as facts."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..analysis.report import Origin, Report
from ..kernel.machine.system import System
from ..kernel.tags.sites import UNKNOWN
from ..text import host_name, printable
from . import units
from .model import Document, Fact


def header(report: Report) -> str:
    """One line: which kernel, when and how it died, profiling state, sites, completeness."""
    if not report.has_profile:
        return origin(report.origin)
    sites = units.plural(report.tagged, "site")
    return " | ".join([origin(report.origin), sites, completeness(report)])


def origin(origin: Origin) -> str:
    """Of that line, what is known without reading all sites."""
    parts = [machine(origin.system, origin.reason)]
    if origin.state != "dead":
        parts.append(origin.state)
    return " | ".join([*parts, f"profiling {origin.profiling.describe()}"])


def machine(system: System, reason: str) -> str:
    """Of that line, which kernel it was, and when and how it died."""
    parts = [kernel(system), host_name(system.hostname)]
    crashed = crash_time(system)
    parts += [crashed and f"crashed {crashed}", reason]
    return " | ".join(filter(None, parts))


def kernel(system: System) -> str:
    """``Linux 6.12.117``"""
    return f"Linux {system.release or UNKNOWN}"


def crash_time(system: System) -> str:
    """``2026-01-02 03:04:05 UTC``; empty if it did not crash, or nothing tells."""
    return f"{system.crash_time:%Y-%m-%d %H:%M:%S} UTC" if system.crash_time else ""


def facts(report: Report) -> list[Fact]:
    """The same as names and values, and more; an empty value is unknown."""
    origin, system = report.origin, report.origin.system
    return [
        Fact("Crashed", crash_time(system)),
        Fact("Host", host_name(system.hostname)),
        Fact("Machine", system.machine),
        Fact("Build", system.version),
        Fact("Profiling", origin.profiling.describe()),
        Fact("Completeness", completeness(report) if report.has_profile else ""),
        Fact("Dump", f"{printable(os.fsencode(origin.core))} ({origin.format})"),
    ]


def about(report: Report, title: str, problems: Iterable[str] = ()) -> Document:
    """Document that holds nothing yet but the identity of its dump.

    :param problems: of the stages that were used, besides the report itself
    """
    return Document(
        title,
        kernel(report.origin.system),
        head=[header(report)],
        facts=facts(report),
        problems=[*report.warnings, *problems],
    )


def completeness(report: Report) -> str:
    """``complete``, or how much is missing."""
    done = report.completeness
    if done.complete:
        return "complete"
    missing = [
        (done.lost, "site not found", "sites not found"),
        (done.unnamed, "without its name", "without their names"),
        (done.uncounted, "without a whole counter", "without whole counters"),
    ]
    return "INCOMPLETE: " + ", ".join(
        f"{n:,} {one if n == 1 else many}" for n, one, many in missing if n
    )
