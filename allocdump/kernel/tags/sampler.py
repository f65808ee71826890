# SPDX-License-Identifier: LGPL-2.1-or-later
"""The counters of a running kernel, again and again, at the price of reading little else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import numpy as np
from drgn import Program, offsetof

from ...arrays import U64
from ..kernel import Kernel
from ..machine.log import UnloadMessage
from .counters import sum_counters
from .profile import Profile, read_profile
from .sites import Provenance, Sites

_ATTEMPTS = 10


def registered(prog: Program) -> tuple[int, ...]:
    """Fingerprint that changes only when a module is loaded or unloaded."""
    cttype, modules = prog["alloc_tag_cttype"].read_(), prog["modules"]
    out = [cttype.count.value_(), modules.next.value_(), modules.prev.value_()]
    # Counts modules that were ever registered, since Linux 6.17.
    with suppress(AttributeError):
        out.append(cttype.next_mod_seq.value_())
    return tuple(out)


def settled_profile(kernel: Kernel, messages: Callable[[], list[UnloadMessage]]) -> Profile:
    """:func:`read_profile` while no module comes or goes, or after some attempts anyway.

    :param messages: reads the kernel log
    """
    before = registered(kernel.prog)
    for _ in range(_ATTEMPTS):
        profile = read_profile(kernel, messages())
        before, was = registered(kernel.prog), before
        if before == was:
            break
    return profile


class Recounter:
    """Reads the counters of the same sites again."""

    def __init__(self, kernel: Kernel, sites: Sites) -> None:
        self.kernel = kernel
        self.sites = sites
        place = np.uint64(offsetof(kernel.prog.type("struct alloc_tag"), "counters"))
        self._counted = np.flatnonzero(sites.evidence == Provenance.COUNTER)
        self._pointers_at: U64 = sites.address[self._counted] + place

    def recount(self) -> Sites:
        """The sites with their counters of now; those without counters as they were."""
        # Counters may move: a module's name and place stay when it is loaded again.
        pointers, _ = self.kernel.memory.words(self._pointers_at)
        total, calls, ok = sum_counters(self.kernel, pointers)
        sites = replace(self.sites, bytes=self.sites.bytes.copy(), calls=self.sites.calls.copy())
        rows = self._counted[ok]
        sites.bytes[rows], sites.calls[rows] = total.view(np.int64)[ok], calls[ok]
        return sites


class Sampler:
    """All sites of a running kernel, with the modules that come and go.

    :param messages: reads the kernel log, where the names of unloaded modules' sites are
    """

    def __init__(self, kernel: Kernel, messages: Callable[[], list[UnloadMessage]]) -> None:
        self.kernel = kernel
        self._messages = messages
        self._registered: tuple[int, ...] | None = None

    def sample(self) -> Sites:
        """The sites as they are now.

        Rows and names are the same arrays as before unless modules came or went.
        """
        for _ in range(_ATTEMPTS):
            before = registered(self.kernel.prog)
            if before != self._registered:
                profile = settled_profile(self.kernel, self._messages)
                self._recounter = Recounter(self.kernel, profile.sites)
                self._registered = before
            sites = self._recounter.recount()
            if registered(self.kernel.prog) == before:
                break
        return sites
