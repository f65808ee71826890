# SPDX-License-Identifier: LGPL-2.1-or-later
"""Formats of profilers: groups as stacks."""

from __future__ import annotations

from ..analysis.groups import Groups
from ..analysis.report import Report
from .output import write

PROFILES = ("folded", "pprof")
"""Formats that know nothing but stacks and what each has."""


def write_groups(
    format_: str,
    report: Report,
    groups: Groups,
    output: str | None,
    *,
    size: str = "bytes",
    calls: str = "calls",
) -> None:
    """Write groups in one of :data:`PROFILES`.

    :param size: the sum that is bytes
    :param calls: the sum that is a number of allocations
    """
    if format_ == "folded":
        from ..formats import folded

        write("".join(folded.render_groups(groups, size)), output)
        return
    from ..formats import pprof

    write(pprof.render_groups(report, groups, size, calls), output, to_terminal=False)
