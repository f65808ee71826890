# SPDX-License-Identifier: LGPL-2.1-or-later
"""The line that stands above what is shown of a dump."""

from __future__ import annotations

from ..analysis.report import Origin, Report
from ..kernel.machine.system import System
from ..kernel.tags.sites import UNKNOWN
from . import units


def header(report: Report) -> str:
    """One line: which kernel, when and how it died, profiling state, sites, completeness."""
    sites = units.plural(len(report.sites), "site")
    return " | ".join([origin(report.origin), sites, completeness(report)])


def origin(origin: Origin) -> str:
    """Of that line, what is known without reading all sites."""
    parts = [machine(origin.system, origin.reason)]
    if origin.state != "dead":
        parts.append(origin.state)
    return " | ".join([*parts, f"profiling {origin.profiling.describe()}"])


def machine(system: System, reason: str) -> str:
    """Of that line, which kernel it was, and when and how it died."""
    parts = [f"Linux {system.release or UNKNOWN}"]
    if system.hostname and system.hostname != "(none)":
        parts.append(system.hostname)
    if system.crash_time:
        parts.append(f"crashed {system.crash_time:%Y-%m-%d %H:%M:%S} UTC")
    if reason:
        parts.append(reason)
    return " | ".join(parts)


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
