# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keyrings of processes. Mirrors ``struct cred`` in ``include/linux/cred.h``."""

from __future__ import annotations

from dataclasses import dataclass

from ..kernel import Kernel
from ..walk import ReadErrors
from .tasks import thread_leaders

_KINDS = ("thread_keyring", "process_keyring", "session_keyring")


@dataclass(frozen=True)
class Keyring:
    """A keyring that a process has; others may have the same."""

    address: int
    """Of its ``struct key``."""
    pid: int
    """Of the thread group."""
    kind: str
    """``process_keyring``"""


def keyrings(kernel: Kernel) -> list[Keyring]:
    """Read the keyrings of all processes, each once; none where the kernel has no keys, or where
    credentials are unreadable."""
    found: dict[int, Keyring] = {}
    for leader in thread_leaders(kernel.prog):
        try:
            cred = leader.cred[0].read_()
            for kind in _KINDS:
                address = cred.member_(kind).value_()
                if address:
                    found.setdefault(address, Keyring(address, leader.tgid.value_(), kind))
        except ReadErrors:
            continue
    return list(found.values())
