# SPDX-License-Identifier: LGPL-2.1-or-later
"""ProfilingState of allocation profiling: built in, enabled, compressed.

Mirrors ``lib/alloc_tag.c`` (``mm/alloc_tag.c`` since Linux 7.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from drgn import Object, Program

from ..kernel import Kernel
from ..layouts import static_key
from ..walk import ReadErrors

ProfilingState = Literal["on", "off", "never", "not built in"]


@dataclass(frozen=True)
class Profiling:
    """The sysctl ``vm.mem_profiling`` as the dump has it."""

    state: ProfilingState
    """``off``: was on, or can be switched on. ``never``: disabled at boot for good.
    ``not built in``: without CONFIG_MEM_ALLOC_PROFILING, or older than Linux 6.10."""
    compressed: bool
    """True if page flags keep references, since Linux kernel commit 4835f747d3ed ("alloc_tag:
    support for page allocation tag compression") (in v6.13)."""

    def describe(self) -> str:
        return self.state + (", compressed" if self.compressed else "")


def profiling(kernel: Kernel) -> Profiling:
    """Read the state of allocation profiling."""
    if not kernel.layouts.profiling:
        return Profiling("not built in", compressed=False)
    prog = kernel.prog
    enabled = static_key(prog, "mem_alloc_profiling_key")
    compressed = static_key(prog, "mem_profiling_compressed") or False
    if not enabled and _registered(prog) is False:
        return Profiling("never", compressed)
    return Profiling("off" if enabled is False else "on", compressed)


def _variable(prog: Program, name: str) -> Object | None:
    try:
        return prog[name].read_()
    except ReadErrors:
        return None


def _registered(prog: Program) -> bool | None:
    """Tell if boot registered the tags: it does not with ``mem_profiling=never``.

    Before Linux 6.13 it did in any case, and all counters stayed at zero.
    """
    cttype = _variable(prog, "alloc_tag_cttype")
    return None if cttype is None else bool(cttype)
