# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who allocated the memory of a dead Linux kernel, down to the line of code.

>>> import allocdump
>>> dump = allocdump.open("vmcore")
>>> report = dump.report()
>>> report.sites.bytes.sum()
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api import Dump
    from .dump.program import DebugInfo

__version__ = "0.1.0"

__all__ = ["open"]


def open(
    core: str | os.PathLike[str] | None = None,
    *,
    qemu: str | os.PathLike[str] | None = None,
    pause: bool = False,
    vmlinux: Sequence[str] = (),
    debug_info: DebugInfo = "auto",
) -> Dump:
    """Open a vmcore; with None the running kernel, or the QEMU guest at the socket *qemu*.

    See :func:`allocdump.dump.program.open_dump` for the parameters and errors.
    """
    from .api import Dump
    from .dump.program import open_dump

    return Dump(open_dump(core, qemu=qemu, pause=pause, vmlinux=vmlinux, debug_info=debug_info))
