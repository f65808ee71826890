# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump objects``"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from itertools import islice

import click
import numpy as np
from drgn import FaultError, Object

from ..analysis.caches import cache_rows
from ..analysis.report import Report
from ..analysis.totals import ObjectFilter, object_totals
from ..api import Dump
from ..kernel.mm.allocations import ObjectBatch, ObjectReader
from ..kernel.mm.attribution import Attribution
from ..text import printable
from ..view.hexdump import hexdump
from ..view.rows import Row, render, site_fields
from .options import listing_options, matching, opens_dump, site_filter, warn
from .progress import progress

PER_CPU = "(per-CPU)"

_LIST = ("address", "bytes", "used", "cache", "site", "function", "module")
_SUMMARY = ("bytes", "objects", "used", "lost", "cache", "site", "function", "module")
_CACHES = ("bytes", "slabs", "objects", "free", "untagged", "size", "lost", "cache")
_VMALLOC = ("address", "bytes", "pages", "kind", "caller", "site", "function", "module")


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
    dump: Dump,
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
    report = dump.report()
    warn(report.warnings)
    sites = matching(report, filters)
    if by == "vmalloc":
        rows, fields = _vmalloc(dump, report, sites, bool(filters)), _VMALLOC
    elif by == "cache":
        with progress("Reading slabs") as show:
            found = dump.attribution(show)
        rows, fields = _by_cache(found, cache), _CACHES
    else:
        reader = dump.objects()
        wanted = ObjectFilter(sites, _caches(reader, cache))
        with progress("Reading objects") as show:
            batches = map(wanted.choose, reader.batches(show))
            if as_list:
                each = islice(_each(report, reader, batches), limit)
                _print_list(dump, each, format_, exact, dump_bytes, type_name)
                return
            rows, fields = iter(list(_sums(report, reader, batches))), _SUMMARY
    for text in render(islice(rows, limit), fields, format_, exact):
        click.echo(text, nl=False)


def _caches(reader: ObjectReader, glob: str | None) -> np.ndarray | None:
    if glob is None:
        return None
    found = np.array([fnmatch.fnmatchcase(c.name, glob) for c in reader.caches], np.bool_)
    if not found.any():
        raise click.UsageError(f"No slab cache is called {glob!r}.")
    return found


def _each(report: Report, reader: ObjectReader, batches: Iterator[ObjectBatch]) -> Iterator[Row]:
    for batch in batches:
        for i in range(len(batch.address)):
            cache = int(batch.cache[i])
            yield {
                "address": f"{int(batch.address[i]):#x}",
                "bytes": int(batch.size[i]),
                "used": int(batch.used[i]),
                "cache": reader.caches[cache].name if cache >= 0 else PER_CPU,
                **site_fields(report.sites, int(batch.site[i])),
            }


def _sums(report: Report, reader: ObjectReader, batches: Iterator[ObjectBatch]) -> Iterator[Row]:
    totals = object_totals(batches, len(reader.caches))
    for i, row in enumerate(totals.site.tolist()):
        cache, size, used = int(totals.cache[i]), int(totals.bytes[i]), int(totals.used[i])
        yield {
            "bytes": size,
            "objects": int(totals.objects[i]),
            "used": used,
            "lost": size - used,
            "cache": reader.caches[cache].name if cache >= 0 else PER_CPU,
            **site_fields(report.sites, row),
        }


def _by_cache(found: Attribution, glob: str | None) -> Iterator[Row]:
    for cache in cache_rows(found):
        if not glob or fnmatch.fnmatchcase(cache.name, glob):
            yield {
                "bytes": cache.bytes,
                "slabs": cache.slabs,
                "objects": cache.allocated,
                "free": cache.free,
                "untagged": cache.untagged,
                "size": cache.size,
                "lost": cache.lost,
                "cache": cache.name,
            }


def _vmalloc(dump: Dump, report: Report, sites: np.ndarray, filtered: bool) -> Iterator[Row]:
    uses = sorted(dump.vmalloc_areas(), key=lambda use: -use.area.pages)
    for use in uses:
        if filtered and (use.site < 0 or not sites[use.site]):
            continue
        yield {
            "address": f"{use.area.start:#x}",
            "bytes": use.area.size,
            "pages": use.area.pages,
            "kind": use.area.kind,
            "caller": use.caller,
            **site_fields(report.sites, use.site),
        }


def _print_list(
    dump: Dump,
    rows: Iterator[Row],
    format_: str,
    exact: bool,
    dump_bytes: int | None,
    type_name: str | None,
) -> None:
    if not (dump_bytes or type_name):
        for text in render(rows, _LIST, format_, exact):
            click.echo(text, nl=False)
        return
    for row in rows:
        click.echo("".join(render([row], _LIST, format_, exact)), nl=False)
        address = int(row["address"], 16)
        if row["cache"] == PER_CPU:
            address = (address + dump.first_cpu_offset) % (1 << 64)
        try:
            if dump_bytes:
                data = dump.prog.read(address, min(dump_bytes, row["bytes"]))
                click.echo(hexdump(address, data), nl=False)
            if type_name:
                text = str(Object(dump.prog, type_name, address=address))
                click.echo("\n".join(printable(line.encode()) for line in text.splitlines()))
        except FaultError as e:
            click.echo(f"  not in the dump: {printable(str(e).encode())}")
        except (LookupError, SyntaxError, TypeError, ValueError) as e:
            raise click.UsageError(f"--type {type_name}: {e}.") from None
