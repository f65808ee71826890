# SPDX-License-Identifier: LGPL-2.1-or-later
"""Size of pages, formats of page tables, and what else differs between processors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt
from drgn import Object, Program

from ..arrays import U64, Bool

_TOP = 1 << 64


@dataclass(frozen=True)
class PageSize:
    """Size of a page frame."""

    shift: int
    """Bits of an offset in a page."""

    @property
    def bytes(self) -> int:
        """Bytes of a page."""
        return 1 << self.shift

    @property
    def table_order(self) -> int:
        """Order of what one table of the lowest level maps: an entry has 8 bytes."""
        return self.shift - 3

    def up(self, size: int) -> int:
        """Pages that some bytes take."""
        return -(-size >> self.shift)


def page_size(prog: Program) -> PageSize:
    """The page size of a kernel: ``PAGESIZE`` of its VMCOREINFO, as drgn has read it.

    :raises LookupError: if the program is no kernel
    """
    return PageSize(int(prog["PAGE_SHIFT"].value_()))


class Numbers(Protocol):
    """VMCOREINFO, as far as architectures read it."""

    def number(self, name: str, kind: str = ...) -> int:
        """The value of ``NUMBER(name)``.

        :raises LookupError: if there is none
        """

    def flag(self, name: str) -> bool:
        """Tell if ``NUMBER(name)`` is there and not zero."""


@dataclass(frozen=True)
class TableFormat(ABC):
    """Format of page tables."""

    page: PageSize
    index_bits: tuple[int, ...]
    """Bits of an index into the tables of each level, the lowest level first."""

    @property
    def levels(self) -> int:
        """Number of levels."""
        return len(self.index_bits)

    @property
    def address_bits(self) -> int:
        """Bits of a virtual address."""
        return self.shift(self.levels)

    def shift(self, level: int) -> int:
        """Bits of an offset in what an entry of a level maps."""
        return self.page.shift + sum(self.index_bits[:level])

    def pages(self, level: int) -> int:
        """Page frames that an entry of a level maps."""
        return 1 << sum(self.index_bits[:level])

    @property
    def upper_half(self) -> int:
        """First address of the half that is the kernel's, which the sign bits tell."""
        return _TOP - (1 << self.address_bits - self.sign_bits)

    sign_bits: ClassVar[int]
    """Bits of an address that tables translate and that tell which half it is in: 1 where one
    table maps both halves, 0 where each half has a table of its own."""

    def virtual(self, index: U64, upper: bool) -> U64:
        """First addresses that entries of the top table map.

        :param upper: the table is the kernel's
        """
        start = index << np.uint64(self.shift(self.levels - 1))
        if not self.sign_bits:
            return start + np.uint64(self.upper_half if upper else 0)
        top = np.uint64(self.address_bits)
        negative = start >> (top - np.uint64(1)) & np.uint64(1)
        return start | np.where(negative != 0, ~np.uint64(0) << top, np.uint64(0))

    @abstractmethod
    def present(self, entries: U64) -> Bool:
        """Mark entries that point at something."""

    @abstractmethod
    def leads_on(self, entries: U64) -> Bool:
        """Mark entries, above the lowest level, that point at a further table."""

    @abstractmethod
    def physical(self, entries: U64) -> U64:
        """The physical addresses in entries, or in pointers of devices at tables."""


@dataclass(frozen=True)
class Instructions:
    """Values of 64 bits in code, and the offset in it of the instruction that has each."""

    offset: U64
    value: U64

    @classmethod
    def none(cls) -> Instructions:
        none = np.zeros(0, np.uint64)
        return cls(none, none)


class Architecture(ABC):
    """A processor's ways, as a kernel uses them."""

    name: ClassVar[str]
    page_shifts: ClassVar[frozenset[int]]
    """Sizes of pages that are known."""
    stack_register: ClassVar[str]
    """The stack pointer, as drgn calls it."""
    stacks: ClassVar[tuple[str, ...]]
    """Per-CPU variables that are stacks: what lies there unused is no pointer."""
    code_tables: ClassVar[tuple[tuple[str, str | None], ...]]
    """Tables of places in code, which hold no pointer to an allocation: the symbol where each
    begins, and what follows it; None is the next symbol."""
    never_dumped: ClassVar[int] = 0
    """Bytes at the start of memory that boot reserves for good, and that the crash kernel may not
    be told of."""
    instruction_bytes: ClassVar[int]
    """More than what :meth:`constants` looks at together."""
    kasan_shadow: int
    """``KASAN_SHADOW_OFFSET`` of CONFIG_KASAN_GENERIC: address of the shadow of address 0."""
    top_bits: ClassVar[int] = 0
    """Bits of an address that processors ignore; in plain addresses of kernels, all are set."""
    any_kernel: ClassVar[bytes]
    """VMCOREINFO of a kernel that there is not, with a place for the size of its pages."""

    def __init__(self, prog: Program, numbers: Numbers) -> None:
        self.prog, self.numbers = prog, numbers
        self.page = page_size(prog)

    @property
    @abstractmethod
    def tables(self) -> TableFormat:
        """Format of the page tables."""

    @property
    @abstractmethod
    def mapped_alone(self) -> list[tuple[int, int]]:
        """Ranges of addresses of the kernel in which page tables alone hold what is mapped, each
        with its last address: neither direct map nor vmalloc space."""

    def untag(self, words: U64) -> U64:
        """The addresses that words stand for, where some of their bits are no address."""
        return words

    def typed(self, address: int) -> int:
        """The address that somebody means who saw a pointer."""
        return int(self.untag(np.array([address], np.uint64))[0])

    @abstractmethod
    def stack_pointer(self, task: Object) -> int:
        """Saved stack pointer of a task that went to sleep."""

    @abstractmethod
    def constants(self, code: npt.NDArray[np.uint8]) -> Instructions:
        """Values that boot wrote into instructions, wherever one may begin.

        :param code: bytes, shape (n,)
        """
