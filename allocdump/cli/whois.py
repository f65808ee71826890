# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump whois``"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from ..analysis.report import Report
from ..api import Dump
from ..kernel.mm.whois import AddressError, Layer, Location
from ..text import printable
from ..view import units
from .options import opens_dump, warn

_EXIT_NO_ADDRESS = 2


@click.command("whois")
@opens_dump
@click.argument("addresses", nargs=-1, metavar="ADDRESS...")
@click.option(
    "-f", "--format", "format_", type=click.Choice(["text", "json"]), default="text",
    show_default=True, help="json: one object per line.",
)  # fmt: skip
def command(dump: Dump, addresses: tuple[str, ...], format_: str) -> int:
    """The memory at an address, and the site that allocated it.

    ADDRESS is a number (direct map, vmalloc, module, kernel image, struct page, per-CPU
    pointer), pfn:N, phys:N or a symbol; without any, addresses are read from standard
    input. From the innermost outwards: an object's slab has a site of its own.

    \b
    Examples:
      allocdump whois vmcore 0xffff8881042a3c00
      allocdump whois vmcore pfn:53737 phys:0xd1e9000 init_task
      grep -o 'ff[0-9a-f]\\{14\\}' registers.txt | allocdump whois vmcore -f json
    """
    report = dump.report()
    warn(report.warnings)
    exit_code = 0
    for query in addresses or _from_stdin():
        try:
            found = dump.whois(query)
        except AddressError as e:
            click.echo(f"allocdump: {printable(str(e).encode())}", err=True)
            exit_code = _EXIT_NO_ADDRESS
            continue
        text = _json(report, found) if format_ == "json" else _text(report, found)
        click.echo(text, nl=False)
    return exit_code


def _from_stdin() -> Iterator[str]:
    in_session = click.get_current_context().obj
    if in_session and sys.stdin is sys.__stdin__:
        # What comes from there are the session's next commands.
        raise click.UsageError("Name an ADDRESS, or redirect a file of them: < FILE.")
    for line in sys.stdin:
        yield from line.split()


def _who(report: Report, layer: Layer) -> str:
    if layer.site is None:
        return ""
    s, i = report.sites, layer.site
    module = f" [{s.module[i]}]" if s.module[i] else ""
    gone = " (module unloaded)" if s.unloaded[i] else ""
    return f"{s.file[i]}:{s.line[i]}{module} func:{s.function[i]}{gone}"


def _text(report: Report, found: Location) -> str:
    lines = [f"{printable(found.query.encode())} = {found.address:#x}"]
    for layer in found.layers:
        place = f" {layer.start:#x}" if layer.start is not None else ""
        if layer.size is not None:
            place += f", {units.size(layer.size)}"
        lines.append(f"  {layer.what}{place}")
        detail = ", ".join(f"{k} {v}" if v is not True else k for k, v in layer.detail.items())
        if detail:
            lines.append(f"      {detail}")
        who = _who(report, layer)
        if who:
            lines.append(f"      site: {who}   (by {layer.evidence})")
        elif layer.evidence:
            lines.append(f"      no site: {layer.evidence}")
    return "\n".join(lines) + "\n"


def _json(report: Report, found: Location) -> str:
    sites = report.sites

    def layer(one: Layer) -> dict[str, Any]:
        site = None
        if one.site is not None:
            site = {
                "file": sites.file[one.site],
                "line": int(sites.line[one.site]),
                "function": sites.function[one.site],
                "module": sites.module[one.site] or None,
                "unloaded": bool(sites.unloaded[one.site]),
            }
        return {
            "what": one.what,
            "start": None if one.start is None else f"{one.start:#x}",
            "size": one.size,
            "site": site,
            "evidence": one.evidence or None,
            **{key.replace(" ", "_"): value for key, value in one.detail.items()},
        }

    document = {
        "query": printable(found.query.encode()),
        "address": f"{found.address:#x}",
        "layers": [layer(one) for one in found.layers],
    }
    return json.dumps(document) + "\n"
