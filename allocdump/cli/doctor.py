# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump doctor``"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import click

from ..formats.records import doctor as records
from ..progress import Phase
from ..session import Session
from ..session.doctor import diagnose
from ..source.host import examine
from ..source.program import open_dump
from ..view import doctor as projection
from .live import hung_up_is_an_error, reading
from .options import OPENING, format_option, names_dump
from .output import output_option, show, warn, write
from .parameters import Command
from .progress import progress
from .source import choose_source


@click.command("doctor", cls=Command)
@names_dump
@format_option("table", "markdown", "json", "html")
@output_option
def command(format_: str, output: str | None, **how: Any) -> None:
    """The commands that work on a dump, those that do not, and what these would take.

    Tells the format and dump level, the kernel, its types and symbols, the state of
    profiling, damage, known bugs that apply, and how each structure is laid out. Reads
    no memory but what describes it, so that it takes a second: what is missing further
    inside shows only when a command reads it.

    With --live, looks at the machine at hand instead: is profiling on, and will kdump
    write a dump that can be read?

    \b
    Examples:
      allocdump doctor vmcore
      allocdump doctor --live
      allocdump doctor vmcore --format markdown > bug.md
      allocdump doctor vmcore -f json | jq -r '.commands[] | [.command, .works] | @tsv'
    """
    chosen = choose_source({name: how[name] for name in OPENING if name in how}, {})
    if how["live"]:
        host = examine()
        if format_ == "json":
            write(records.machine(host), output)
        else:
            show(projection.machine(host), format_, output)
        return
    with ExitStack() as around:
        if how["qemu"] is not None:
            around.enter_context(hung_up_is_an_error())
        with progress(Phase.OPENING):
            dump = around.enter_context(Session(open_dump(**chosen, partly=True)))
        warn(dump.notices)
        around.enter_context(reading(dump))
        found = diagnose(dump)
    if format_ == "json":
        write(records.as_json(found), output)
    else:
        show(projection.document(found), format_, output)
