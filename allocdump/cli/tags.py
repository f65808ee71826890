# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump tags``"""

from __future__ import annotations

import click

from ..errors import AllocdumpError
from ..formats.records import tags as records
from ..kernel.tags.compiled import compiled_sites
from .options import format_option
from .output import complain, write


@click.command("tags")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@format_option("text", "json", help="text: one line per call site, as in /proc/allocinfo.")
def command(files: tuple[str, ...], format_: str) -> int:
    """The call sites compiled into kernel images and modules.

    FILE is a vmlinux or a .ko. Nothing but the file is read: a report of such a kernel has
    no other sites. A file that cannot be read is reported, and the others
    are still listed.

    \b
    Examples:
      allocdump tags vmlinux | wc -l
      allocdump tags drivers/net/dummy.ko
    """
    exit_code = 0
    found = []
    for path in files:
        try:
            found.append((path, compiled_sites(path)))
        except AllocdumpError as e:
            complain(str(e))
            exit_code = e.exit_code
    if format_ == "json":
        write(records.as_json(found))
    else:
        write("".join(f"{site}\n" for _, sites in found for site in sites))
    return exit_code
