# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump watch``"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count, islice
from typing import Any

import click
import numpy as np

from ..analysis.filters import Pattern, matching
from ..analysis.growth import Watch, WatchSortBy, largest
from ..arrays import U64
from ..formats.records import watch as records
from ..kernel.tags.sites import Sites
from ..session import Session
from ..view import watch as projection
from ..view.model import Document
from ..view.text import screen
from .options import (
    exact_option,
    format_option,
    opens_dump,
    site_filter,
    sort_option,
    top_option,
)
from .output import output_option, output_width, rendered, warn, write_all
from .parameters import Command, Number

_HEAD = 6
"""Lines of the screen that are not rows, with one to spare."""


@click.command("watch", cls=Command)
@opens_dump
@site_filter
@click.option(
    "-i", "--interval", type=click.FloatRange(0.1), default=1.0, show_default=True,
    metavar="SECONDS", help="Time between rounds.",
)  # fmt: skip
@click.option("-c", "--count", "rounds", type=Number(1), metavar="N", help="End after N rounds.")
@top_option("Show the first N of the sites that grew.", default=20)
@sort_option("growth", "last", "calls", "after", "name", calls="allocations more than before")
@format_option("table", "json", default=None, json="one line per round; the default in a pipe")
@exact_option
@output_option
def command(
    dump: Session,
    filters: tuple[str, ...],
    interval: float,
    rounds: int | None,
    top: int,
    sort: Any,
    format_: str | None,
    exact: bool,
    output: str | None,
) -> None:
    """Call sites that grow, on a running kernel.

    Shows the sites that grew most: GROWTH is since the start, LAST since the round before.
    Reads only counters, so that a round costs milliseconds. Ends after --count rounds or with
    Ctrl-C, either way with exit code 0. In a pipe or to a file, writes one line of JSON per
    round.

    \b
    Examples:
      allocdump watch --live
      allocdump watch --qemu qmp.sock --interval 5 --filter module=nvme
      allocdump watch --live --count 60 | jq -c '.rows[0] | [.file, .line, .growth_bytes]'
    """
    if dump.standstill:
        raise click.UsageError(dump.standstill)
    sampler = dump.sampler()
    first = sampler.sample()
    matching(first, filters)
    if dump.origin.profiling.state == "off":
        warn(["Profiling is off, so nothing is counted: sysctl vm.mem_profiling=1"])
    chosen = _Chosen(filters)
    order: WatchSortBy = sort or "growth"
    in_place = output_width(output) is not None
    format_ = format_ or ("table" if in_place else "json")

    def texts() -> Iterator[str]:
        watch = Watch(chosen.of(first))
        for elapsed in islice(_ticks(interval), rounds):
            growth = watch.round(chosen.of(sampler.sample()), elapsed)
            if format_ == "json":
                rows = largest(growth, top, order)
                yield records.as_json(growth, rows, datetime.now(UTC))
            elif in_place:
                rows = largest(growth, min(top, terminal.lines() - _HEAD), order)
                yield terminal.screen(projection.document(dump.origin, growth, rows), exact)
            else:
                document = projection.document(dump.origin, growth, largest(growth, top, order))
                yield rendered(document, "table", output, exact)

    terminal = _Terminal()
    with suppress(KeyboardInterrupt):
        write_all(texts(), output)


class _Chosen:
    """The sites that match all filters; names are matched only when there are new ones."""

    def __init__(self, filters: tuple[str, ...]) -> None:
        self._patterns = [Pattern(text) for text in filters]
        self._rows = np.zeros(0, np.intp)
        self._addresses: U64 | None = None

    def of(self, sites: Sites) -> Sites:
        if not self._patterns:
            return sites
        if sites.address is not self._addresses:
            matches = np.logical_and.reduce([p.matches(sites) for p in self._patterns])
            self._rows, self._addresses = np.flatnonzero(matches), sites.address
        return sites.take(self._rows)


def _ticks(interval: float) -> Iterator[float]:
    """Seconds since the start, at each of its multiples of *interval* that is not past yet."""
    start = time.monotonic()
    for tick in count(1):
        time.sleep(max(0.0, start + tick * interval - time.monotonic()))
        yield time.monotonic() - start


class _Terminal:
    """Puts lines in the place of those before."""

    def __init__(self) -> None:
        self._shown = 0

    def lines(self) -> int:
        return shutil.get_terminal_size().lines

    def screen(self, document: Document, exact: bool) -> str:
        """What shows a document in the place of the one before."""
        size = shutil.get_terminal_size()
        lines = screen(document, size.columns, exact)[: size.lines - 1]
        up = f"\x1b[{self._shown}F" if self._shown else ""
        text = "".join(f"{line}\x1b[K\n" for line in lines)
        self._shown = len(lines)
        # What is left of longer ones goes, too.
        return f"{up}{text}\x1b[J"
