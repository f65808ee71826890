# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump tags``"""

from __future__ import annotations

import click

from ..analysis.filters import matching
from ..errors import AllocdumpError
from ..formats.records import tags as records
from ..kernel.tags.compiled import CompiledSite, compiled_sites
from ..kernel.tags.sites import Site, Sites
from ..view import tags as projection
from .options import format_option, site_filter, sort_option, top_option
from .output import complain, output_option, show, write, write_all
from .parameters import Command


@click.command("tags", cls=Command)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@site_filter
@top_option("Show the first N sites.")
@sort_option("kernel", "name", kernel="as they were linked")
@format_option(
    "allocinfo", "table", "markdown", "json", "csv",
    allocinfo="as in /proc/allocinfo, without numbers",
)  # fmt: skip
@output_option
def command(
    files: tuple[str, ...],
    filters: tuple[str, ...],
    top: int | None,
    sort: str | None,
    format_: str,
    output: str | None,
) -> int:
    """The call sites compiled into kernel images and modules.

    FILE is a vmlinux or a .ko. Nothing but the file is read: a report of such a kernel has
    no other sites. A file that cannot be read is reported, and the others are still listed.

    \b
    Examples:
      allocdump tags vmlinux | wc -l
      allocdump tags drivers/net/dummy.ko
      allocdump tags vmlinux --filter 'file=mm/*' --format csv
    """
    exit_code = 0
    found: list[tuple[str, CompiledSite]] = []
    for path in files:
        try:
            found += [(path, site) for site in compiled_sites(path)]
        except AllocdumpError as e:
            complain(str(e))
            exit_code = e.exit_code
    if filters and found:
        chosen = matching(_columns(found), filters)
        found = [one for one, wanted in zip(found, chosen, strict=True) if wanted]
    if sort == "name":
        found.sort(key=lambda one: (one[1].file, one[1].line, one[1].function))
    found = found[:top]
    match format_:
        case "json":
            write(records.as_json(found), output)
        case "csv":
            write_all(records.as_csv(found), output)
        case "allocinfo":
            write("".join(f"{site}\n" for _, site in found), output)
        case _:
            show(projection.document(records.rows(found)), format_, output)
    return exit_code


def _columns(found: list[tuple[str, CompiledSite]]) -> Sites:
    return Sites.of([Site(s.file, s.line, s.function, s.module, 0, 0) for _, s in found])
