# SPDX-License-Identifier: LGPL-2.1-or-later
"""State of allocation profiling: built in, enabled, compressed.

Mirrors ``lib/alloc_tag.c`` (``mm/alloc_tag.c`` since Linux 7.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from drgn import Object, Program

from ...errors import ProfilingError
from ..walk import ReadErrors

State = Literal["on", "off", "never"]


@dataclass(frozen=True)
class Profiling:
    """The sysctl ``vm.mem_profiling`` as the dump has it."""

    state: State
    """``off``: was on, or can be switched on. ``never``: disabled at boot for good."""
    compressed: bool
    """True if page flags keep references, since Linux kernel commit 4835f747d3ed ("alloc_tag:
    support for page allocation tag compression") (in v6.13)."""

    def describe(self) -> str:
        return self.state + (", compressed" if self.compressed else "")


def built_in(prog: Program) -> bool:
    """Tell if the kernel has code tags: built with CONFIG_MEM_ALLOC_PROFILING.

    Linux 6.10 and later have the types and the section's symbols without it, too, but then
    the section is empty: ``CODETAG_SECTIONS()`` in ``include/asm-generic/codetag.lds.h``.
    """
    try:
        prog.type("struct alloc_tag")
        start = prog.symbol("__start_alloc_tags").address
        stop = prog.symbol("__stop_alloc_tags").address
    except LookupError:
        return False
    return bool(start < stop)


def profiling(prog: Program) -> Profiling:
    """Read the state of allocation profiling.

    :raises ProfilingError: if the kernel was built without it
    """
    if not built_in(prog):
        raise ProfilingError(
            "The kernel was built without CONFIG_MEM_ALLOC_PROFILING (Linux 6.10 or later),"
            " so nothing in the dump says who allocated what."
        )
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


def static_key(prog: Program, name: str) -> bool | None:
    """State of a static key; None if the kernel has none of that name, or it is unreadable."""
    key = _variable(prog, name)
    if key is None:
        return None
    # struct static_key_true and static_key_false only wrap struct static_key.
    inner = getattr(key, "key", key)
    try:
        return bool(inner.enabled.counter.value_() > 0)
    except ReadErrors:
        return None


def _registered(prog: Program) -> bool | None:
    """Tell if boot registered the tags: it does not with ``mem_profiling=never``.

    Before Linux 6.13 it did in any case, and all counters stayed at zero.
    """
    cttype = _variable(prog, "alloc_tag_cttype")
    return None if cttype is None else bool(cttype)
