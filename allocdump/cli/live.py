# SPDX-License-Identifier: LGPL-2.1-or-later
"""Additions for commands on a kernel that is alive."""

from __future__ import annotations

import io
import os
import select
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, TextIO

from ..errors import DamagedError, DumpError

if TYPE_CHECKING:
    from ..session import Session

_IN_MEMORY = 64 << 20


@contextmanager
def reading(dump: Session) -> Iterator[None]:
    """Errors that only a kernel that is alive can cause, as sentences."""
    from drgn import FaultError

    try:
        yield
    except (FaultError, RecursionError) as e:
        if dump.state == "dead":
            raise
        hint = "try again" + (", or with --pause" if dump.state == "running" else "")
        raise DamagedError(
            f"{dump.path}: the kernel's memory is not readable, or changed too fast ({e}); {hint}."
        ) from None
    except Exception as e:
        # drgn raises OSError and bare Exception for a connection that ended.
        if dump.state == "dead" or not (isinstance(e, OSError) or type(e) is Exception):
            raise
        if isinstance(e, BrokenPipeError) and _reader_is_gone():
            _end_by_sigpipe()
        raise DumpError(f"{dump.path} went away while it was read ({e}).") from None


def _reader_is_gone() -> bool:
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return bool(poll.poll(0))


def _end_by_sigpipe() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)


@contextmanager
def hung_up_is_an_error() -> Iterator[None]:
    """Raise OSError when QEMU hangs up, instead of ending by SIGPIPE.

    That is right only for who reads our output, and comes about in :func:`reading` then.
    """
    was = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, was)


class _Held(io.TextIOWrapper):
    """Takes the place of standard output, and looks like it."""

    def __init__(self, kept: IO[bytes], real: TextIO) -> None:
        super().__init__(kept, encoding=real.encoding, errors=real.errors)
        self._real = real

    def isatty(self) -> bool:
        return self._real.isatty()


@contextmanager
def held_output() -> Iterator[None]:
    """Keep back what is printed until the end, so that no pager keeps a guest paused."""
    real = sys.stdout
    with SpooledTemporaryFile(_IN_MEMORY) as kept:
        held = sys.stdout = _Held(kept, real)
        try:
            yield
        finally:
            sys.stdout = real
            held.flush()
            kept.seek(0)
            if isinstance(real, io.TextIOWrapper):
                real.flush()
                shutil.copyfileobj(kept, real.buffer)
            else:
                held.seek(0)
                shutil.copyfileobj(held, real)
