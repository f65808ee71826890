# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump shell``"""

from __future__ import annotations

import logging
import signal
import textwrap
from collections.abc import Iterator, Sequence

import click
import numpy as np
from drgn import FaultError, ProgramFlags
from drgn.helpers.linux.pid import find_task

from ..commands import IN_DRGN
from ..errors import ProfilingError
from ..session import Session
from ..view import header
from .options import opens_dump
from .output import warn
from .parameters import Command

_WIDTH = 100


@click.command("shell", cls=Command)
@opens_dump
def command(dump: Session) -> None:
    """An interactive session of drgn on a dump.

    The commands of allocdump are there as %report, %whois and so on, with drgn's pipes and
    redirections; so are all helpers of drgn and of allocdump, and the dump itself as a
    Python object. A banner above the prompt shows its methods. Ctrl-D ends it.

    \b
    Examples:
      allocdump shell vmcore
      echo '%report --top 3' | allocdump shell vmcore
    """
    from drgn.cli import run_interactive

    import allocdump

    from ..drgn import helpers, plugin  # noqa: F401 (it may not be installed as a plugin)
    from ..drgn.session import keep

    # A command whose reader goes away must not end the session, nor are warnings unwanted here.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    logging.getLogger("drgn").setLevel(logging.WARNING)
    keep(dump)
    warn(dump.warnings)
    known = {name: getattr(helpers, name) for name in helpers.__all__}
    known |= {"allocdump": allocdump, "dump": dump, "np": np}
    text = "\n".join(_above_the_prompt(dump, helpers.__all__))
    run_interactive(dump.prog, lambda _: text, lambda drgns: drgns | known)


def _above_the_prompt(dump: Session, helpers: Sequence[str]) -> Iterator[str]:
    """Lines that say what is open, what is there to use, and what to try."""
    what, tries = _what(dump)
    yield from [*what, f"{dump.core}, types from {dump.types.upper()}", ""]
    commands = " ".join(f"%{name}" for name in IN_DRGN)
    for name, text in {
        "commands": f"{commands}   (--help, | less, > file)",
        "dump": "dump.report(), .whois(), .pages(), .objects(), .audit(), .usage()",
        "prog": "drgn's program, with all of drgn.helpers.linux",
        "helpers": ", ".join(helpers),
    }.items():
        yield from textwrap.wrap(
            text, _WIDTH, initial_indent=f"  {name:9}", subsequent_indent=" " * 11
        )
    width = max(len(line) for line, _ in tries)
    yield from ["", "Try:", *(f"  {line:{width}}  # {meaning}" for line, meaning in tries)]


def _what(dump: Session) -> tuple[list[str], list[tuple[str, str]]]:
    """Description of the dump, and commands to try on it."""
    try:
        origin = dump.origin
        if origin.profiling.state != "on":
            dump.report()  # there may be none
    except ProfilingError as e:
        died = header.machine(dump.system, dump.log.panic_message(alive=dump.state != "dead"))
        return [died, str(e)], [
            ("print_dmesg()", "the kernel log"),
            ("print_slab_caches()", "slab caches"),
            ("find_task(1).comm", "the first task's name"),
        ]
    task, which = _task(dump)
    return [header.origin(origin)], [
        ("%report --top 10", "who allocated most"),
        (f"%whois {task:#x}", which),
        (
            "max(for_each_alloc_tag(), key=lambda tag: alloc_tag_counters(tag).bytes)",
            "the call site that did",
        ),
    ]


def _task(dump: Session) -> tuple[int, str]:
    """The address of a task, and which one that is."""
    prog = dump.prog
    try:
        if prog.flags & ProgramFlags.IS_LIVE:
            return find_task(prog, 1).value_(), "the first task"
        return prog.crashed_thread().object.value_(), "the task that died"
    except (LookupError, FaultError, ValueError):
        return prog.symbol("init_task").address, "the idle task"
