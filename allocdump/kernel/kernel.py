# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel that a dump is of: what every reader of its structures needs to know."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from drgn import Architecture, FaultError, Program, ProgramFlags
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.mm import pfn_to_virt

from ..arrays import U64
from ..errors import UnsupportedError
from ..source.core import Core
from ..source.memory import Memory
from ..source.program import Source, State
from ..source.vmcoreinfo import VmcoreInfo
from .layouts import Layouts

_ARCHITECTURES = (Architecture.X86_64, Architecture.AARCH64)
_PAGE_SHIFT = 12


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

    @property
    def architecture(self) -> Architecture:
        """The processor's."""
        platform = self.prog.platform
        return platform.arch if platform else Architecture.UNKNOWN

    @cached_property
    def page_shift(self) -> int:
        """Bits of an offset in a page: 12 for pages of 4 KiB."""
        size = self.vmcoreinfo.text("PAGESIZE")
        return (int(size).bit_length() - 1) if size.isdecimal() and int(size) else 12

    def check_supported(self) -> None:
        """Refuse kernels whose memory would be read wrongly.

        :raises UnsupportedError: for another architecture or page size
        """
        other = "; of this dump, report, diff and tags work."
        if self.architecture not in _ARCHITECTURES:
            name = self.architecture.name.lower()
            raise UnsupportedError(f"Memory of {name} kernels cannot be told apart yet{other}")
        if self.page_shift != _PAGE_SHIFT:
            size = (1 << self.page_shift) >> 10
            raise UnsupportedError(f"Memory in pages of {size} KiB cannot be told apart yet{other}")

    @cached_property
    def direct_map(self) -> int:
        """Address at which the first page frame would be mapped.

        :raises LookupError: if the kernel's symbols do not tell
        """
        return int(pfn_to_virt(self.prog, 0).value_())

    @cached_property
    def cpus(self) -> Cpus:
        """The possible CPUs.

        :raises drgn.FaultError: if their offsets are unreadable, or the mask is damaged
        """
        try:
            offsets = self.prog["__per_cpu_offset"]
        except LookupError:
            return Cpus((0,), np.zeros(1, np.uint64))
        numbers = tuple(for_each_possible_cpu(self.prog))
        if not numbers:
            mask = self.prog["__cpu_possible_mask"].address_
            raise FaultError("the mask of possible CPUs is damaged: it is empty", mask or 0)
        return Cpus(numbers, np.array([offsets[cpu].value_() for cpu in numbers], np.uint64))
