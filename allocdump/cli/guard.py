# SPDX-License-Identifier: LGPL-2.1-or-later
"""A process of its own for what may end the whole process.

libkdumpfile maps files: where the data of a page lies behind a file's end, it is ended by SIGBUS.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import TypeVar

from ..errors import AllocdumpError, DamagedError
from ..source.core import identify
from .outcome import outcome

T = TypeVar("T")
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
_CRASHES = (signal.SIGBUS, signal.SIGSEGV)


def guarded(core: str | None, action: Callable[[], T]) -> T:
    """Run what reads a core; in a child process, if parts of the file are missing.

    :raises DamagedError: if that was ended by a crash
    :raises SystemExit: with the child's exit code
    """
    if core is None or not _is_risky(core):
        return action()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            code = outcome(action)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    status = _wait(pid)
    code = os.waitstatus_to_exitcode(status)
    if -code in _CRASHES:
        raise DamagedError(
            f"{core} is truncated or damaged, and this needs memory whose data lies behind the end"
            " of the file; copy the dump again, or try another command."
        )
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


def _wait(pid: int) -> int:
    """Status of a child at its end. It gets the terminal's signals itself, and others from here."""
    handlers = {number: lambda got, _: os.kill(pid, got) for number in _PASSED_ON}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return os.waitpid(pid, 0)[1]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_risky(core: str) -> bool:
    try:
        info = identify(core)
    except AllocdumpError:
        return False  # opening it says why
    return info.format == "kdump" and bool(info.missing_bytes or info.incomplete or info.behind_end)
