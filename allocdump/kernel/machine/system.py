# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's identity, and the time of its death."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ...text import printable
from ..kernel import Kernel
from ..walk import ReadErrors


@dataclass(frozen=True)
class System:
    """A kernel: what ``uname`` would say, and the time of its crash."""

    release: str
    version: str
    machine: str
    hostname: str
    crash_time: datetime | None
    """None if it did not crash, or VMCOREINFO does not say."""


def system(kernel: Kernel) -> System:
    """Read ``init_uts_ns`` and VMCOREINFO; what is unreadable is empty."""
    names = {"version": "", "machine": "", "nodename": ""}
    try:
        uts = kernel.prog["init_uts_ns"].name.read_()
        names = {key: printable(uts.member_(key).string_()) for key in names}
    except ReadErrors:
        pass
    seconds = kernel.vmcoreinfo.text("CRASHTIME")
    return System(
        release=kernel.vmcoreinfo.text("OSRELEASE"),
        version=names["version"],
        machine=names["machine"],
        hostname=names["nodename"],
        crash_time=_time(int(seconds)) if seconds.isdecimal() else None,
    )


def crash_kernel(kernel: Kernel) -> int | None:
    """Bytes reserved for the crash kernel: ``crash_resource_size()`` in ``kernel/crash_core.c``.

    None if nothing tells.
    """
    size = 0
    try:
        for name in ("crashk_res", "crashk_low_res"):
            start, end = (int(kernel.prog[name].member_(m).value_()) for m in ("start", "end"))
            size += end - start + 1 if end > start else 0
    except ReadErrors:
        return None
    return size


def _time(seconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
