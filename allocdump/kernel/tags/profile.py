# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole allocation profile of a kernel: all call sites, all counters."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...problems import Problem
from ..kernel import Kernel
from ..machine.log import UnloadMessage
from ..machine.modules import loaded_modules
from .codetag import (
    CodetagType,
    TagRange,
    codetag_types,
    read_tags,
    tag_ranges,
)
from .counters import sum_counters
from .sites import UNKNOWN, Provenance, Sites, named_sites
from .unloaded import unloaded_ranges, unloaded_sites


@dataclass
class Completeness:
    """Completeness of a profile: the sites read, and the sites missed."""

    expected: int | None = None
    """Tags that the kernel says are registered; None if that is unreadable."""
    found: int = 0
    """Registered tags that were found."""
    unnamed: int = 0
    """Tags that are not in the dump, or whose strings are not."""
    uncounted: int = 0
    """Tags of which a CPU's counter is not in the dump: their numbers are wrong or zero."""
    problems: list[Problem] = field(default_factory=list)
    """Damage met."""

    @property
    def lost(self) -> int:
        """Registered tags that were not found."""
        return max(0, (self.expected or 0) - self.found)

    @property
    def complete(self) -> bool:
        return not (self.lost or self.unnamed or self.uncounted)


@dataclass
class Profile:
    """Call sites in the order of /proc/allocinfo; those of unloaded modules follow."""

    sites: Sites
    ranges: list[TagRange]
    types: list[CodetagType]
    """All code tag types of the kernel; allocation sites are those of ``alloc_tags``."""
    completeness: Completeness


def read_profile(kernel: Kernel, unload_messages: list[UnloadMessage]) -> Profile:
    """Read all call sites and counters; damaged ones are left out and counted.

    :param unload_messages: from the kernel log, to name the memory of unloaded modules
    """
    prog = kernel.prog
    done = Completeness()
    modules = loaded_modules(prog)
    found = tag_ranges(prog, modules)
    others, problems = unloaded_ranges(kernel, found.ranges, modules)
    ranges = found.ranges + [r for r in others if r.state == "loaded"]
    gone = [r for r in others if r.state == "unloaded"]
    done.expected = found.expected
    types = codetag_types(prog)
    done.problems = found.problems + problems + modules.problems + types.problems
    parts = [_registered_sites(kernel, r, done) for r in ranges]
    done.found = sum(map(len, parts))
    parts += [unloaded_sites(kernel, r, unload_messages) for r in gone]
    return Profile(Sites.concatenate(parts), ranges + gone, types.found, done)


def _registered_sites(kernel: Kernel, span: TagRange, done: Completeness) -> Sites:
    memory = kernel.memory
    tags = read_tags(memory, span.start, span.stop)
    sites = named_sites(memory, tags)
    sites.module[~tags.readable] = span.module
    pointers = np.where(tags.readable, tags.raw["counters"], 0)
    total, calls, counted = sum_counters(kernel, pointers)
    counted &= tags.readable
    sites.bytes, sites.calls = total.view(np.int64), calls
    sites.evidence[counted] = Provenance.COUNTER
    unnamed = (sites.file == UNKNOWN) | (sites.function == UNKNOWN) | (sites.module == UNKNOWN)
    done.unnamed += int(np.count_nonzero(unnamed))
    done.uncounted += int(np.count_nonzero(~counted))
    return sites
