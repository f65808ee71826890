# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump leaks``"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click
import numpy as np

from ..analysis.report import Report
from ..api import Dump
from ..graph.nodes import NodeKind
from ..view import units
from ..view.header import header
from ..view.rows import Row, render
from .options import Size, listing_options, matching, opens_dump, site_filter, warn
from .progress import progress

if TYPE_CHECKING:
    from ..analysis.leaks import Leaks

_SUMMARY = ("lost", "undecided", "allocations", "held", "held_allocations", "share", "heads",
            "cluster", "confidence", "site", "function", "module", "reason")  # fmt: skip
_LIST = ("address", "bytes", "kind", "head", "site", "function", "module")


@click.command("leaks")
@opens_dump
@site_filter
@click.option("--min-size", type=Size(), metavar="SIZE", help="Only sites that lost SIZE: 64K, 1M.")
@listing_options
def command(
    dump: Dump,
    filters: tuple[str, ...],
    min_size: int | None,
    as_list: bool,
    limit: int | None,
    format_: str,
    exact: bool,
) -> None:
    """Memory that nothing points at any more, by call site.

    All memory in use is searched for pointers, from global and per-CPU variables, tasks
    and their stacks on. Memory that nothing alive points at, directly or through other
    allocations, is lost: nobody can free it any more. Lost allocations that no other lost
    one points at are heads, most likely the leak itself; the cluster is all that is lost
    with them.

    In a dump that lacks memory that may hold pointers, nothing is called lost, only
    undecided. Pointers of an unknown form make false alarms: a few allocations of many do
    not prove a leak, all of thousands do.

    \b
    Examples:
      allocdump leaks vmcore
      allocdump leaks vmcore --site 'module=nvme*' --list
      allocdump leaks vmcore --min-size 1M --format json
    """
    report = dump.report()
    with progress("Reading memory") as show:
        found = dump.leaks(show)
    warn(report.warnings + [f"{reason}." for reason in found.reasons])
    chosen = matching(report, filters)
    rows = _each(report, found, chosen) if as_list else _sums(report, found, chosen, min_size or 0)
    if format_ == "table":
        click.echo(header(report) + "\n")
    fields = _LIST if as_list else _SUMMARY
    for text in render(islice(rows, limit), fields, format_, exact):
        click.echo(text, nl=False)
    if format_ == "table":
        click.echo(_total(found, exact))


def _sums(report: Report, found: Leaks, chosen: np.ndarray, min_size: int) -> Iterator[Row]:
    lost, sites = found.lost, report.sites
    for i, row in enumerate(lost.site.tolist()):
        number, size = int(lost.allocations[i]), int(lost.bytes[i])
        if not chosen[row] or max(size, int(lost.cluster_bytes[i])) < min_size:
            continue
        yield {
            "lost": 0 if found.reasons else size,
            "undecided": size if found.reasons else 0,
            "allocations": number,
            "held": int(lost.held_bytes[i]),
            "held_allocations": int(lost.held_allocations[i]),
            "share": units.share(size, size + int(lost.held_bytes[i])),
            "heads": int(lost.heads[i]),
            "cluster": int(lost.cluster_bytes[i]),
            "cluster_allocations": int(lost.cluster_allocations[i]),
            "confidence": str(lost.confidence[i]),
            "site": f"{sites.file[row]}:{sites.line[row]}",
            "function": sites.function[row],
            "module": sites.module[row],
            "reason": lost.reason[i],
        }


def _each(report: Report, found: Leaks, chosen: np.ndarray) -> Iterator[Row]:
    nodes, sites = found.graph.nodes, report.sites
    for node, head in zip(found.node.tolist(), found.head.tolist(), strict=True):
        row = int(nodes.site[node])
        if not chosen[row]:
            continue
        yield {
            "address": f"{int(nodes.address[node]):#x}",
            "bytes": int(nodes.size[node]),
            "kind": NodeKind(nodes.kind[node]).name.lower(),
            "head": f"{int(nodes.address[head]):#x}",
            "site": f"{sites.file[row]}:{sites.line[row]}",
            "function": sites.function[row],
            "module": sites.module[row],
        }


def _total(found: Leaks, exact: bool) -> str:
    size, number = int(found.lost.bytes.sum()), int(found.lost.allocations.sum())
    word = "undecided" if found.reasons else "lost"
    whole = units.size(found.total_bytes, exact)
    return (
        f"\n{units.size(size, exact)} in {units.plural(number, 'allocation')} {word},"
        f" {units.share(size, found.total_bytes)} of the {whole}"
        f" in {units.plural(found.total_allocations, 'allocation')} that were judged"
    )
