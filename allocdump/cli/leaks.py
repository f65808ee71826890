# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump leaks``"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ..analysis.filters import matching
from ..analysis.groups import Groups, group
from ..analysis.keys import SITE, Key
from ..arrays import Bool
from ..formats.records import leaks as records
from ..session import Session
from ..view import leaks as projection
from .listing import Listing
from .options import (
    LINES,
    exact_option,
    format_option,
    group_option,
    list_option,
    min_size_option,
    opens_dump,
    site_filter,
    sort_option,
    top_option,
)
from .output import output_option, warn
from .parameters import Command
from .profiles import PROFILES
from .progress import GRAPH, MEMORY, progress

if TYPE_CHECKING:
    from ..analysis.leaks import Leaks


@click.command("leaks", cls=Command)
@opens_dump
@site_filter
@min_size_option("Only sites that lost at least SIZE: 64K, 1M.")
@top_option()
@sort_option("size", "calls", "name", "address", default="size; address with --list")
@group_option()
@list_option
@click.option(
    "-a", "--all", "everything", is_flag=True,
    help="Each site with undecided memory, not only their number.",
)  # fmt: skip
@format_option("table", "markdown", "json", "csv", "html", *PROFILES, json=LINES)
@exact_option
@output_option
def command(
    dump: Session,
    filters: tuple[str, ...],
    min_size: int | None,
    top: int | None,
    sort: str | None,
    group_by: Any,
    as_list: bool,
    everything: bool,
    format_: str,
    exact: bool,
    output: str | None,
) -> None:
    """Memory that nothing points at any more, by call site.

    All memory in use is searched for pointers, from global and per-CPU variables, tasks
    and their stacks on. Memory that nothing alive points at, directly or through other
    allocations, is lost: nobody can free it any more. Lost allocations that no other lost
    one points at are heads, most likely the leak itself; the cluster is all that is lost
    with them.

    In a dump that lacks memory that may hold pointers, nothing is called lost, only
    undecided; --all lists the sites. Pointers of an unknown form make false alarms: a few
    allocations of many do not prove a leak, all of thousands do.

    \b
    Examples:
      allocdump leaks vmcore
      allocdump leaks vmcore --filter 'module=nvme*' --list
      allocdump leaks vmcore --group-by cgroup,module
      allocdump leaks vmcore --min-size 1M --format json
      allocdump leaks vmcore --group-by stack --format folded
    """
    if as_list and group_by != (SITE,):
        raise click.UsageError("--group-by does not go with --list.")
    report = dump.memory_report()
    chosen = matching(report.sites, filters)
    with progress(*GRAPH) as show_progress:
        found = dump.leaks(show_progress)
    warn(report.warnings + [f"{reason}." for reason in found.reasons])
    if as_list:
        each = records.each(report.sites, found, chosen)
        listing = Listing(each, records.EACH, partial(projection.each, report, found))
    else:
        sums = list(records.sums(report.sites, found, dump.wrappers(), chosen, min_size or 0))
        folds = not everything and format_ in ("table", "markdown") and group_by == (SITE,)
        undecided = [record for record in sums if folds and record["undecided"]]
        if undecided:
            sums = [record for record in sums if not record["undecided"]]
        project = partial(projection.sums, report, found, undecided)
        listing = Listing(sums, records.SUMS, project, ("lost", "undecided"), "allocations")
        if group_by != (SITE,) or format_ in PROFILES:
            wanted = records.wanted(found, chosen, min_size or 0)
            read = partial(_groups, dump, found, wanted, group_by)
            groups = partial(projection.groups, report, found)
            listing = listing.grouped(read, group_by, records.GROUPS, groups, report)
    listing.show(format_, exact, top, output, sort)


def _groups(dump: Session, found: Leaks, wanted: Bool, keys: Sequence[Key]) -> Groups:
    """Lost memory by keys.

    :param wanted: marks origins, shape (number of origins,)
    """
    from ..analysis.placed import lost_sums

    with progress(*MEMORY) as show_progress:
        parts = dump.placed(found.graph.nodes, show_progress)
    return group(keys, dump.names, records.GROUPS, [lost_sums(found, parts, wanted)])
