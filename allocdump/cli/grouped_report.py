# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump report --group-by``: by counters where call sites tell the groups, else by memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..analysis.counted import by_counters
from ..analysis.filters import matching
from ..analysis.groups import Group, Groups, group
from ..analysis.keys import Key
from ..analysis.memory import SUMS, MemoryTotal, OfSites
from ..analysis.report import Report
from ..analysis.sums import total
from ..formats.records import report as records
from ..kernel.tags.sites import Sites
from ..session import Session
from ..view import report as projection
from .output import show, warn, write
from .profiles import write_groups
from .progress import MEMORY, follow_for, progress


@dataclass
class GroupedReport:
    """A report of groups."""

    dump: Session
    report: Report
    chosen: Sites
    """Call sites that are wanted and hold something."""
    keys: Sequence[Key]
    filters: Sequence[str]
    unloaded: bool | None

    def show(
        self,
        format_: str,
        exact: bool,
        top: int | None,
        output: str | None,
        sort: str | None,
        min_size: int | None,
    ) -> None:
        """Put it where it was asked for."""
        of_memory = not all(key.of_site for key in self.keys)
        groups, memory = (
            self._by_memory() if of_memory else (by_counters(self.keys, self.chosen), None)
        )
        rows = [one for one in groups if min_size is None or one.sums["bytes"] >= min_size]
        groups = replace(groups, groups=_sorted(groups, rows, sort)[:top])
        shown, whole = total(self.chosen), self.report.total()
        match format_:
            case "json":
                write(records.groups_as_json(self.report, groups, shown, whole, memory), output)
            case "csv":
                write(records.groups_as_csv(groups, whole, memory), output)
            case "folded" | "pprof":
                write_groups(format_, self.report, groups, output)
            case _:
                document = projection.groups(self.report, groups, shown, whole, memory)
                show(document, format_, output, exact)

    def _by_memory(self) -> tuple[Groups, MemoryTotal]:
        sites = self.report.sites
        wanted = matching(sites, self.filters)
        if self.unloaded is False:
            wanted &= ~sites.unloaded
        follow_for(self.dump, self.keys)
        with progress(*MEMORY) as show_progress:
            parts = OfSites(self.dump.memory(show_progress), len(sites), wanted)
            groups = group(self.keys, self.dump.names, SUMS, parts)
        warn(f"{problem}." for problem in self.dump.pagemap.problems())
        return groups, parts.total()


def _sorted(groups: Groups, rows: list[Group], sort: str | None) -> list[Group]:
    if sort == "name":
        return sorted(rows, key=groups.name)
    if sort == "kernel":
        return sorted(rows, key=lambda one: one.first)
    if sort == "average":
        return sorted(rows, key=lambda one: -one.sums["bytes"] / max(1, one.sums["calls"]))
    return sorted(rows, key=lambda one: -one.sums["calls" if sort == "calls" else "bytes"])
