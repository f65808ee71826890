# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel that a dump is of: what every reader of its structures needs to know."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from drgn import FaultError, Object, Program, ProgramFlags, sizeof
from drgn.helpers.linux.bitops import for_each_set_bit
from drgn.helpers.linux.cpumask import cpu_online_mask, cpu_possible_mask
from drgn.helpers.linux.mm import pfn_to_virt

from ..arch.base import Architecture, PageSize, page_size
from ..arch.known import architecture
from ..arrays import U64, Int
from ..source.core import Core
from ..source.memory import Memory
from ..source.program import Source, State
from ..source.vmcoreinfo import VmcoreInfo
from ..source.zeros import ZeroFrames, zero_frames
from .layouts import Layouts
from .symbol_table import SymbolTable


@dataclass(frozen=True)
class Cpus:
    """The possible CPUs."""

    numbers: tuple[int, ...]
    """Their real numbers, ascending; these need not be contiguous."""
    offsets: U64
    """``__per_cpu_offset`` of each: shape (possible CPUs,); one zero without SMP."""

    def __len__(self) -> int:
        """Number of possible CPUs."""
        return len(self.numbers)

    def copies(self, pointer: int) -> list[tuple[int, int]]:
        """CPU and address of each copy of what a per-CPU pointer points at."""
        addresses = [(pointer + offset) % (1 << 64) for offset in self.offsets.tolist()]
        return list(zip(self.numbers, addresses, strict=True))


def possible_cpus(prog: Program) -> Iterator[int]:
    """Numbers of the possible CPUs."""
    return _set_in(cpu_possible_mask(prog))


def online_cpus(prog: Program) -> Iterator[int]:
    """Numbers of the CPUs that are online."""
    return _set_in(cpu_online_mask(prog))


def _set_in(mask: Object) -> Iterator[int]:
    """CPUs in a ``struct cpumask *``.

    drgn takes CPU 0 for the only one where there is no variable ``nr_cpu_ids``. With
    CONFIG_FORCE_NR_CPUS it is a constant (``include/linux/cpumask.h``): the mask has as many bits.
    """
    bits, most = mask.bits, 8 * sizeof(mask.bits.type_)
    with suppress(LookupError):
        most = min(most, mask.prog_["nr_cpu_ids"].value_())
    yield from for_each_set_bit(bits, most)


@dataclass
class Kernel:
    """A program of drgn, and what is known of the kernel in it."""

    prog: Program
    core: Core = field(default_factory=lambda: Core("The program", "core"))
    """The file that it is read from."""
    vmcoreinfo: VmcoreInfo = field(default_factory=lambda: VmcoreInfo({}))
    state: State = "dead"

    def __post_init__(self) -> None:
        self.memory = Memory(self.prog)
        self.layouts = Layouts(self.prog)

    @classmethod
    def of(cls, source: Source) -> Kernel:
        """The kernel of an opened source."""
        return cls(source.prog, source.core, source.vmcoreinfo, source.state)

    @classmethod
    def of_program(cls, prog: Program) -> Kernel:
        """The kernel of a program that drgn opened."""
        raw = prog["VMCOREINFO"].string_()
        running = bool(prog.flags & ProgramFlags.IS_LIVE)
        return cls(prog, vmcoreinfo=VmcoreInfo.parse(raw), state="running" if running else "dead")

    def counting_holes(self) -> Kernel:
        """The same kernel, whose :attr:`memory` begins to count holes anew."""
        other = copy.copy(self)
        other.memory = Memory(self.prog)
        return other

    @cached_property
    def arch(self) -> Architecture:
        """The processor's ways.

        :raises UnsupportedError: if they, or the page size, are not known
        """
        return architecture(self.prog, self.vmcoreinfo)

    @cached_property
    def page(self) -> PageSize:
        """The size of a page."""
        return page_size(self.prog)

    @cached_property
    def zero_frames(self) -> ZeroFrames:
        """Page frames that are known to be zeros without reading them."""
        return zero_frames(self.core, self.prog, self.page.bytes)

    @cached_property
    def max_order(self) -> int:
        """Order of the largest block of the buddy allocator: ``MAX_PAGE_ORDER``.

        :raises LookupError: if VMCOREINFO does not tell
        """
        return self.vmcoreinfo.number("zone.free_area", "LENGTH") - 1

    @cached_property
    def direct_map(self) -> int:
        """Address at which the first page frame would be mapped.

        :raises LookupError: if the kernel's symbols do not tell
        """
        return int(pfn_to_virt(self.prog, 0).value_())

    def frame_address(self, pfn: Int) -> U64:
        """Addresses in the direct map of page frames: shape (n,)."""
        return np.uint64(self.direct_map) + (pfn.astype(np.uint64) << np.uint64(self.page.shift))

    def frame_at(self, address: U64) -> Int:
        """Page frames of addresses in the direct map: shape (n,)."""
        offset = address - np.uint64(self.direct_map)
        return np.asarray((offset >> np.uint64(self.page.shift)).view(np.int64))

    @cached_property
    def symbols(self) -> SymbolTable:
        """Names of addresses in the kernel image; per-CPU variables are at those of the image."""
        return SymbolTable(self.prog.symbols())

    @cached_property
    def cpus(self) -> Cpus:
        """The possible CPUs.

        :raises drgn.FaultError: if their offsets are unreadable, or the mask is damaged
        """
        try:
            offsets = self.prog["__per_cpu_offset"]
        except LookupError:
            return Cpus((0,), np.zeros(1, np.uint64))
        numbers = tuple(possible_cpus(self.prog))
        if not numbers:
            mask = self.prog["__cpu_possible_mask"].address_
            raise FaultError("the mask of possible CPUs is damaged: it is empty", mask or 0)
        return Cpus(numbers, np.array([offsets[cpu].value_() for cpu in numbers], np.uint64))
