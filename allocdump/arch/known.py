# SPDX-License-Identifier: LGPL-2.1-or-later
"""The processors that are known."""

from __future__ import annotations

import drgn
import numpy as np
from drgn import Platform, PlatformFlags, Program

from ..arrays import U64
from ..errors import UnsupportedError
from .aarch64 import Arm
from .base import Architecture, Numbers, page_size
from .x86_64 import X86

_KNOWN: dict[drgn.Architecture, type[Architecture]] = {
    drgn.Architecture.X86_64: X86,
    drgn.Architecture.AARCH64: Arm,
}
_KERNEL = 1 << 55
"""Set in all addresses of kernels, whatever is in the bits above."""
_READ = " and ".join(known.name for known in _KNOWN.values())


def check_words(platform: Platform | None) -> None:
    """Refuse processors of which nothing is read: words are those of this program.

    :raises UnsupportedError: for 32 bits, and for the other byte order
    """
    wanted = PlatformFlags.IS_64_BIT | PlatformFlags.IS_LITTLE_ENDIAN
    if platform is None or platform.flags & wanted == wanted:
        return
    what = "32-bit" if not platform.flags & PlatformFlags.IS_64_BIT else "big-endian"
    raise UnsupportedError(
        f"Dumps of {what} kernels ({_name(platform.arch)}) are not read; those of {_READ} are, and"
        " tags reads the vmlinux of any 64-bit kernel."
    )


def architecture(prog: Program, numbers: Numbers) -> Architecture:
    """The architecture of a kernel.

    :raises UnsupportedError: if its memory would be read wrongly
    """
    arch = prog.platform.arch if prog.platform else drgn.Architecture.UNKNOWN
    known = _KNOWN.get(arch)
    other = "; of this dump, report, diff, watch and tags work."
    if known is None:
        raise UnsupportedError(
            f"Memory of {_name(arch)} kernels cannot be told apart, only that of {_READ}{other}"
        )
    page = page_size(prog)
    if page.shift not in known.page_shifts:
        raise UnsupportedError(
            f"Memory in pages of {page.bytes >> 10} KiB cannot be told apart on {known.name}{other}"
        )
    return known(prog, numbers)


def plain(prog: Program, address: int) -> int:
    """An address without a tag, which two pointers at the same thing may have."""
    top = _top_bits(prog)
    return address | top if address & _KERNEL else address


def plain_words(prog: Program, words: U64) -> U64:
    """Addresses without tags."""
    top = np.uint64(_top_bits(prog))
    return np.where(words & np.uint64(_KERNEL) != 0, words | top, words)


def _top_bits(prog: Program) -> int:
    known = _KNOWN.get(prog.platform.arch) if prog.platform else None
    return known.top_bits if known else 0


def any_kernels(page: int) -> list[bytes]:
    """VMCOREINFO of kernels that there are not, one of each processor: enough for drgn and
    libkdumpfile to read pages by their physical addresses.

    :param page: size of a page frame of the dump, in bytes
    """
    return [
        known.any_kernel % page
        for known in _KNOWN.values()
        if page in {1 << shift for shift in known.page_shifts}
    ]


def _name(arch: drgn.Architecture) -> str:
    return str(arch.name).lower()
