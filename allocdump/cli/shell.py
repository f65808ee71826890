# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump shell``"""

from __future__ import annotations

import logging
import signal

import click
import numpy as np
from drgn import FaultError, ProgramFlags
from drgn.helpers.linux.pid import find_task

from ..api import Dump
from ..commands import in_drgn
from ..errors import ProfilingError
from ..view import header
from ..view.banner import banner
from .options import opens_dump, warn


@click.command("shell")
@opens_dump
def command(dump: Dump) -> None:
    """An interactive session of drgn on a dump.

    The commands of allocdump are there as %allocinfo, %whois and so on, with drgn's pipes and
    redirections; so are all helpers of drgn and of allocdump, and the dump itself as a
    Python object. A banner above the prompt shows its methods. Ctrl-D ends it.

    \b
    Examples:
      allocdump shell vmcore
      echo '%allocinfo --top 3' | allocdump shell vmcore
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
    what, tries = _what(dump)
    known = {name: getattr(helpers, name) for name in helpers.__all__}
    known |= {"allocdump": allocdump, "dump": dump, "np": np}
    text = banner(what, dump.core, dump.types, list(in_drgn()), list(helpers.__all__), tries)
    run_interactive(dump.prog, lambda _: text, lambda drgns: drgns | known)


def _what(dump: Dump) -> tuple[list[str], list[tuple[str, str]]]:
    """Description of the dump, and commands to try on it."""
    try:
        origin = dump.origin
        if origin.profiling.state != "on":
            dump.report()  # there may be none
    except ProfilingError as e:
        died = header.machine(dump.system, dump.log.panic_message())
        return [died, str(e)], [
            ("print_dmesg()", "the kernel log"),
            ("print_slab_caches()", "slab caches"),
            ("find_task(1).comm", "the first task's name"),
        ]
    task, which = _task(dump)
    return [header.origin(origin)], [
        ("%allocinfo --top 10", "who allocated most"),
        (f"%whois {task:#x}", which),
        (
            "max(for_each_alloc_tag(), key=lambda tag: alloc_tag_counters(tag).bytes)",
            "the call site that did",
        ),
    ]


def _task(dump: Dump) -> tuple[int, str]:
    """The address of a task, and which one that is."""
    prog = dump.prog
    try:
        if prog.flags & ProgramFlags.IS_LIVE:
            return find_task(prog, 1).value_(), "the first task"
        return prog.crashed_thread().object.value_(), "the task that died"
    except (LookupError, FaultError, ValueError):
        return prog.symbol("init_task").address, "the idle task"
