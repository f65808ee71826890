# SPDX-License-Identifier: LGPL-2.1-or-later
"""allocdump: from a vmcore to the lines of code that allocated its memory.

>>> import allocdump
>>> session = allocdump.open("vmcore")
>>> report = session.report()
>>> report.total().bytes
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drgn import Program

    from .session import Session
    from .source.program import DebugInfo

__version__ = "1.0.0"

__all__ = ["from_program", "open"]


def open(
    core: str | os.PathLike[str] | None = None,
    *,
    qemu: str | os.PathLike[str] | None = None,
    pause: bool = False,
    vmlinux: Sequence[str] = (),
    debug_info: DebugInfo = "auto",
) -> Session:
    """Open a vmcore; with None the running kernel, or the QEMU guest at the socket *qemu*.

    See :func:`allocdump.source.program.open_dump` for the parameters and errors.
    """
    from .session import Session
    from .source.program import open_dump

    return Session(open_dump(core, qemu=qemu, pause=pause, vmlinux=vmlinux, debug_info=debug_info))


def from_program(prog: Program) -> Session:
    """The same for a program that drgn has opened already, with the types that it has.

    What was read once is kept: ask again for what a running kernel has become since. See
    :func:`allocdump.source.program.of_program` for errors, and for programs without types.
    """
    from .session import Session
    from .source.program import of_program

    return Session(of_program(prog))
