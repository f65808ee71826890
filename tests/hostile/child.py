# SPDX-License-Identifier: LGPL-2.1-or-later
"""A command on a damaged dump, in a process of its own that is forked from this one."""

from __future__ import annotations

import importlib
import math
import os
import pkgutil
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO

from drgn import Program

import allocdump
import allocdump.cli
from allocdump.source import opening, program
from allocdump.source.core import Core

_MEMORY = 6 << 30
"""Address space that a run may take, in bytes: an absurd size must not take the machine's."""

_PATIENCE = 40
"""Times as long as allowed, by the clock: for runs that wait for something."""
_NO_DAMAGE = 96
"""Exit code if the damage itself failed."""

Damage = Callable[[Program], None]


@dataclass(frozen=True)
class Outcome:
    """The end of one run."""

    code: int
    """Exit code; less than 0: ended by that signal."""
    seconds: float
    """Of a processor, so that a busy machine does not matter."""
    memory: int
    """Peak of resident memory, in bytes."""
    out: bytes
    err: bytes
    late: bool = False
    """Killed, since it took longer than allowed."""


def run(arguments: list[str], damage: Damage | None, seconds: float) -> Outcome:
    """Run ``allocdump`` with some arguments.

    :param damage: lays damage over the program, before anything is read of it
    :param seconds: of a processor, after which it is killed
    """
    _load()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            _child(arguments, damage, seconds, out, err)
        status, usage, late = _wait(pid, time.monotonic() + _PATIENCE * seconds)
        code = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        return Outcome(
            code,
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss << 10,
            out.read(),
            err.read(),
            late or code == -signal.SIGXCPU,
        )


@cache
def _load() -> None:
    """Import what commands import when they need it, once instead of in each child."""
    for module in pkgutil.walk_packages(allocdump.__path__, f"{allocdump.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _wait(pid: int, end: float) -> tuple[int, resource.struct_rusage, bool]:
    late = False
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return status, usage, late
        if not late and time.monotonic() > end:
            late = True
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _child(
    arguments: list[str], damage: Damage | None, seconds: float, out: BinaryIO, err: BinaryIO
) -> None:
    """Never returns."""
    code = 97
    try:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        # What pytest put in their place would keep the output.
        sys.stdout, sys.stderr = os.fdopen(1, "w", encoding="utf-8"), os.fdopen(2, "w")
        limit = math.ceil(seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        _main(arguments, damage)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 98
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _main(arguments: list[str], damage: Damage | None) -> None:
    sys.argv = ["allocdump", *arguments]
    os.environ["COLUMNS"] = "120"
    if damage:
        open_program = opening.open_program

        def damaged(core: Core) -> tuple[Program, Core, list[str]]:
            opened = open_program(core)
            try:
                damage(opened[0])
            except Exception:
                # Not to be taken for what the command says of damage.
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(_NO_DAMAGE)
            return opened

        setattr(program, "open_program", damaged)  # noqa: B010  imported there, not exported
    allocdump.cli.main()
