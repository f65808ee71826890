# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump report``"""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from ..analysis import report as analysis
from ..analysis.keys import SITE
from ..analysis.sums import total
from ..errors import DamagedError
from ..formats import allocinfo, folded
from ..formats.records import report as records
from ..session import Session
from ..view import report as projection
from .grouped_report import GroupedReport
from .options import (
    exact_option,
    format_option,
    group_option,
    min_size_option,
    opens_dump,
    site_filter,
    sort_option,
    top_option,
)
from .output import output_option, show, warn, write
from .parameters import Command


@click.command("report", cls=Command)
@opens_dump
@site_filter
@min_size_option("Only rows of at least SIZE: 64K, 1.5M.")
@click.option("-a", "--all", "zeros", is_flag=True, help="Show sites that hold nothing, too.")
@click.option(
    "--unloaded/--no-unloaded",
    default=None,
    help="Show, or hide, sites of modules that were unloaded while their memory was alive."
    "  [default: shown, except by allocinfo]",
)
@top_option()
@sort_option(
    "size", "calls", "average", "name", "kernel", default="size; kernel for --format allocinfo"
)
@group_option()
@format_option(
    "table", "markdown", "json", "csv", "html", "allocinfo", "folded", "pprof",
    allocinfo="as the kernel prints it, byte for byte",
)  # fmt: skip
@exact_option
@output_option
def command(
    dump: Session,
    format_: str,
    top: int | None,
    sort: Any,
    group_by: Any,
    filters: tuple[str, ...],
    min_size: int | None,
    zeros: bool,
    exact: bool,
    unloaded: bool | None,
    output: str | None,
) -> None:
    """Every call site with its size and number of allocations.

    Counters tell, and with the keys cgroup, node, zone, cache, order and type of --group-by
    the references that memory itself has.

    \b
    Examples:
      allocdump report vmcore --top 20
      allocdump report vmcore --group-by module --exact
      allocdump report vmcore --group-by cgroup,node --top 20
      allocdump report vmcore --filter 'file=fs/*' --min-size 1M
      allocdump report vmcore --format allocinfo | sort -g | tail
      allocdump report vmcore --format folded | flamegraph.pl > memory.svg
      allocdump report vmcore --format pprof --output memory.pb.gz
      allocdump report vmcore --format html --output memory.html
    """
    as_kernel = format_ == "allocinfo"
    by_site = group_by == (SITE,)
    if as_kernel and not by_site:
        raise click.UsageError("--group-by does not go with --format allocinfo.")
    report = dump.report()
    warn(report.warnings)
    if not report.completeness.found:
        raise DamagedError(
            f"{report.origin.core}: no call site is readable in this dump;"
            " capture it again with makedumpfile -d 23 or lower."
        )
    chosen = analysis.choose(
        report.sites,
        filters=filters,
        zeros=zeros or as_kernel,
        unloaded=not as_kernel if unloaded is None else unloaded,
    )
    if not by_site:
        show_groups = GroupedReport(dump, report, chosen, group_by, filters, unloaded)
        show_groups.show(format_, exact, top, output, sort, min_size)
        return
    rows = analysis.rows_of(chosen)
    if min_size is not None:
        rows = rows.take(np.flatnonzero(rows.bytes >= min_size))
    rows = analysis.order(rows, sort or ("kernel" if as_kernel else "size"), top)
    shown, whole = total(chosen), report.total()
    match format_:
        case "table" | "markdown" | "html":
            tree = None
            if format_ == "html":
                from ..analysis.tree import site_tree

                tree = site_tree(chosen, chosen.bytes, "memory")
            show(projection.document(report, rows, shown, whole, tree), format_, output, exact)
        case "json":
            write(records.as_json(report, rows, shown, whole), output)
        case "csv":
            write(records.as_csv(rows, whole), output)
        case "pprof":
            from ..formats import pprof

            data = pprof.render(report, rows.sites)
            write(data, output, to_terminal=False)
        case "folded":
            write("".join(folded.render(rows.sites)), output)
        case _:
            write("".join(allocinfo.render(_header(dump), rows.sites)), output)


def _header(dump: Session) -> str:
    header = dump.allocinfo_header()
    if header is None:
        warn(["The kernel's own header is not in the dump; that of version 1.0 is shown."])
        header = "allocinfo - version: 1.0\n#     <size>  <calls> <tag info>\n"
    return header
