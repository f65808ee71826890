# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump objects``"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
import numpy as np
from drgn import FaultError, Object

from ..analysis.caches import cache_rows
from ..analysis.filters import matching
from ..analysis.groups import group
from ..analysis.keys import KEYS, SITE, Allocations
from ..analysis.totals import ObjectFilter, object_sums
from ..arrays import Bool
from ..errors import FilterError, did_you_mean
from ..formats.records import objects as records
from ..formats.records.json_text import Record
from ..kernel.mm.allocations import ObjectReader
from ..session import Session
from ..text import printable
from ..view import objects as projection
from ..view.hexdump import hexdump
from ..view.wrap import wrap
from .listing import Listing
from .options import (
    LINES,
    complete_caches,
    exact_option,
    format_option,
    group_option,
    list_option,
    opens_dump,
    site_filter,
    sort_option,
    top_option,
)
from .output import output_option, output_width, rendered, warn, write_all
from .parameters import Command, Number
from .profiles import PROFILES
from .progress import MEMORY, follow_for, progress


@click.command("objects", cls=Command)
@opens_dump
@site_filter
@click.option(
    "--cache",
    metavar="GLOB",
    shell_complete=complete_caches,
    help="Only objects of slab caches with a name that matches.",
)
@top_option()
@sort_option("size", "calls", "name", "address", default="size; address with --list")
@group_option(
    "vmalloc",
    site="by itself: and by cache",
    cache="slab cache; by itself: all slabs, free objects too",
    vmalloc="each area of vmalloc space",
)
@list_option
@format_option("table", "markdown", "json", "csv", "html", *PROFILES, json=LINES)
@exact_option
@output_option
@click.option("--hexdump", "dump_bytes", type=Number(1, 1 << 20), metavar="N",
              help="With --list: show the first N bytes of each.")  # fmt: skip
@click.option("--type", "type_name", metavar="TYPE", help="With --list: decode each as this type.")
def command(
    dump: Session,
    filters: tuple[str, ...],
    cache: str | None,
    top: int | None,
    sort: str | None,
    group_by: Any,
    as_list: bool,
    format_: str,
    exact: bool,
    output: str | None,
    dump_bytes: int | None,
    type_name: str | None,
) -> None:
    """Slab objects, per-CPU objects and vmalloc areas of each site.

    By references from the objects themselves. BYTES are charged to the site; the cache's
    users can use USED; LOST is the rest. Per-CPU objects count one CPU's copy.

    \b
    Examples:
      allocdump objects vmcore --filter leaker.c:33
      allocdump objects vmcore --group-by cache --top 10
      allocdump objects vmcore --group-by cgroup,cache
      allocdump objects vmcore --group-by vmalloc
      allocdump objects vmcore --group-by stack --format pprof --output objects.pb.gz
      allocdump objects vmcore --cache dentry --list --top 3 --type 'struct dentry'
    """
    if (dump_bytes or type_name) and (not as_list or format_ != "table"):
        raise click.UsageError("--hexdump and --type go with --list and --format table.")
    by_cache = group_by == (KEYS["cache"],) and format_ not in PROFILES
    if as_list and group_by != (SITE,):
        raise click.UsageError("--group-by does not go with --list.")
    if filters and by_cache:
        raise click.UsageError(
            "--filter does not go with --group-by cache: slabs have objects of many sites;"
            " --group-by cache,site tells them apart."
        )
    if cache and group_by == "vmalloc":
        raise click.UsageError("--cache does not go with --group-by vmalloc.")
    report = dump.memory_report()
    warn(report.warnings)
    chosen = matching(report.sites, filters)
    if group_by == "vmalloc":
        _areas(dump, chosen, all_of_them=not filters).show(format_, exact, top, output, sort)
        return
    reader = dump.objects()
    caches = _caches(reader, cache)
    if by_cache:
        _by_cache(dump, cache or "*").show(format_, exact, top, output, sort)
        return
    wanted = ObjectFilter(chosen, caches)
    follow_for(dump, group_by)
    with progress(*MEMORY) as show_progress:
        batches = map(wanted.choose, reader.batches(show_progress))
        where = (report.sites, reader.caches, batches)
        if as_list:
            listing = Listing(records.each(*where), records.EACH, projection.each)
        else:
            sums = records.sums(*where)
            listing = Listing(sums, records.SUMS, projection.sums, calls="objects")
            if group_by != (SITE,) or format_ in PROFILES:
                kernel = dump.kernel
                parts = ((Allocations.of_objects(b, kernel), object_sums(b)) for b in batches)
                read = partial(group, group_by, dump.names, records.GROUPS, parts)
                groups = projection.groups
                listing = listing.grouped(read, group_by, records.GROUPS, groups, report)
        if dump_bytes or type_name:
            contents = _Contents(dump, dump_bytes, type_name, exact, output)
            write_all(contents.texts(listing.first(top, sort)), output)
        else:
            listing.show(format_, exact, top, output, sort)
    # It knows them once it has read everything.
    warn(f"{problem}." for problem in reader.problems)


def _areas(dump: Session, chosen: Bool, *, all_of_them: bool) -> Listing:
    """Areas of vmalloc space, largest first.

    :param chosen: sites that are wanted, shape (number of sites,)
    :param all_of_them: whether areas without a site are wanted, too
    """
    areas = dump.vmalloc_areas()
    warn(f"{problem}." for problem in areas.problems)
    uses = sorted(areas, key=lambda use: -use.area.pages)
    if not all_of_them:
        uses = [use for use in uses if use.site >= 0 and chosen[use.site]]
    return Listing(records.areas(dump.origins, uses), records.VMALLOC, projection.areas)


def _by_cache(dump: Session, glob: str) -> Listing:
    with progress(*MEMORY) as show_progress:
        found = dump.attribution(show_progress)
    warn(f"{problem}." for problem in found.problems)
    caches = [c for c in cache_rows(found) if fnmatch.fnmatchcase(c.name, glob)]
    rows = records.by_cache(caches)
    return Listing(rows, records.CACHES, projection.by_cache, calls="objects")


def _caches(reader: ObjectReader, glob: str | None) -> np.ndarray | None:
    if glob is None:
        return None
    names = [cache.name for cache in reader.caches]
    found = np.array([fnmatch.fnmatchcase(name, glob) for name in names], np.bool_)
    if not found.any():
        raise FilterError(f"No slab cache matches {glob!r}{did_you_mean(glob, names) or '.'}")
    return found


@dataclass
class _Contents:
    """Shows objects, and below each what is in it."""

    dump: Session
    size: int | None
    """Bytes to show."""
    type_name: str | None
    exact: bool
    output: str | None

    def texts(self, rows: Iterable[Record]) -> Iterator[str]:
        for row in rows:
            document = projection.each([row])
            yield rendered(document, "table", self.output, self.exact, hint=False)
            yield from self._contents(row)

    def _contents(self, row: Record) -> Iterator[str]:
        prog, address = self.dump.prog, int(row["address"], 16)
        if row["cache"] == records.PER_CPU:
            address = (address + self.dump.first_cpu_offset) % (1 << 64)
        try:
            if self.size:
                data = prog.read(address, min(self.size, row["bytes"]))
                yield hexdump(address, data, output_width(self.output))
            if self.type_name:
                text = str(Object(prog, self.type_name, address=address))
                yield from _wrapped(text, output_width(self.output))
        except FaultError as e:
            yield f"  not in the dump: {printable(str(e).encode())}\n"
        except (LookupError, SyntaxError, TypeError, ValueError) as e:
            raise click.UsageError(f"--type {self.type_name}: {e}.") from None


def _wrapped(text: str, width: int | None) -> Iterator[str]:
    """Lines of an object of drgn's, with blanks instead of tabs."""
    for line in text.expandtabs(4).splitlines():
        words = line.lstrip()
        indent = " " * (len(line) - len(words))
        for part in wrap(printable(words.encode()), width, indent, f"{indent}  "):
            yield f"{part}\n"
