# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump objects``"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import click
import numpy as np
from drgn import FaultError, Object

from ..analysis.caches import cache_rows
from ..analysis.totals import ObjectFilter
from ..formats.records import objects as records
from ..formats.records.json_text import Record
from ..kernel.mm.allocations import ObjectReader
from ..session import Session
from ..text import printable
from ..view import objects as projection
from ..view.hexdump import hexdump
from .listing import Listing
from .options import listing_options, matching, opens_dump, site_filter
from .output import show, warn, write, write_all
from .progress import progress


@click.command("objects")
@opens_dump
@site_filter
@click.option("--cache", metavar="GLOB", help="Only objects of slab caches of such a name.")
@click.option(
    "--by",
    type=click.Choice(["site", "cache", "vmalloc"]),
    default="site",
    show_default=True,
    help="site: by site and cache. cache: all slabs, free objects too. vmalloc: the areas.",
)
@listing_options
@click.option("--hexdump", "dump_bytes", type=click.IntRange(1, 1 << 20), metavar="N",
              help="With --list: the first N bytes of each.")  # fmt: skip
@click.option("--type", "type_name", metavar="TYPE", help="With --list: decode as this type.")
def command(
    dump: Session,
    filters: tuple[str, ...],
    cache: str | None,
    by: str,
    as_list: bool,
    limit: int | None,
    format_: str,
    exact: bool,
    dump_bytes: int | None,
    type_name: str | None,
) -> None:
    """Slab objects, per-CPU objects and vmalloc areas of each site.

    By references from the objects themselves. BYTES are charged to the site; the cache's
    users can use USED; LOST is the rest. Per-CPU objects count one CPU's copy.

    \b
    Examples:
      allocdump objects vmcore --site leaker.c:33
      allocdump objects vmcore --by cache --limit 10
      allocdump objects vmcore --by vmalloc
      allocdump objects vmcore --cache dentry --list --limit 3 --type 'struct dentry'
    """
    if (dump_bytes or type_name) and (not as_list or format_ != "table"):
        raise click.UsageError("--hexdump and --type go with --list and --format table.")
    report = dump.memory_report()
    warn(report.warnings)
    chosen = matching(report, filters)
    if by == "vmalloc":
        areas = dump.vmalloc_areas()
        warn(f"{problem}." for problem in areas.problems)
        uses = sorted(areas, key=lambda use: -use.area.pages)
        if filters:
            uses = [use for use in uses if use.site >= 0 and chosen[use.site]]
        listing = Listing(records.areas(report.sites, uses), records.VMALLOC, projection.areas)
    elif by == "cache":
        with progress("Reading slabs") as show_progress:
            found = dump.attribution(show_progress)
        warn(f"{problem}." for problem in found.problems)
        caches = [c for c in cache_rows(found) if not cache or fnmatch.fnmatchcase(c.name, cache)]
        listing = Listing(records.by_cache(caches), records.CACHES, projection.by_cache)
    else:
        reader = dump.objects()
        wanted = ObjectFilter(chosen, _caches(reader, cache))
        with progress("Reading objects") as show_progress:
            batches = map(wanted.choose, reader.batches(show_progress))
            where = (report.sites, reader.caches, batches)
            if as_list:
                each = records.each(*where)
                if dump_bytes or type_name:
                    contents = _Contents(dump, dump_bytes, type_name)
                    contents.show(islice(each, limit), exact)
                else:
                    Listing(each, records.EACH, projection.each).show(format_, exact, limit)
                _warn_of(reader)
                return
            listing = Listing(list(records.sums(*where)), records.SUMS, projection.sums)
        _warn_of(reader)
    listing.show(format_, exact, limit)


def _warn_of(reader: ObjectReader) -> None:
    """Print a reader's problems; it knows all of them once it has read everything."""
    warn(f"{problem}." for problem in reader.problems)


def _caches(reader: ObjectReader, glob: str | None) -> np.ndarray | None:
    if glob is None:
        return None
    found = np.array([fnmatch.fnmatchcase(c.name, glob) for c in reader.caches], np.bool_)
    if not found.any():
        raise click.UsageError(f"No slab cache is called {glob!r}.")
    return found


@dataclass
class _Contents:
    """Shows objects, and below each what is in it."""

    dump: Session
    size: int | None
    """Bytes to show."""
    type_name: str | None

    def show(self, rows: Iterable[Record], exact: bool) -> None:
        for row in rows:
            show(projection.each([row]), exact=exact)
            self._show(row)

    def _show(self, row: Record) -> None:
        prog, address = self.dump.prog, int(row["address"], 16)
        if row["cache"] == records.PER_CPU:
            address = (address + self.dump.first_cpu_offset) % (1 << 64)
        try:
            if self.size:
                write(hexdump(address, prog.read(address, min(self.size, row["bytes"]))))
            if self.type_name:
                text = str(Object(prog, self.type_name, address=address))
                write_all(f"{printable(line.encode())}\n" for line in text.splitlines())
        except FaultError as e:
            write(f"  not in the dump: {printable(str(e).encode())}\n")
        except (LookupError, SyntaxError, TypeError, ValueError) as e:
            raise click.UsageError(f"--type {self.type_name}: {e}.") from None
