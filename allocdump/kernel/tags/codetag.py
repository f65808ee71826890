# SPDX-License-Identifier: LGPL-2.1-or-later
"""Code tags: their places and their contents.

Mirrors ``lib/codetag.c`` (``struct codetag_type``, ``struct codetag_module``) and
``lib/alloc_tag.c`` (``mm/alloc_tag.c`` since 7.3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from drgn import Object, Program

from ...arrays import Bool
from ...problems import Code, Problem
from ...source.dtypes import dtype_of
from ...source.memory import Memory, each_whole
from ...text import printable
from ..machine.modules import LoadedModules
from ..walk import Walked, idr_entries, is_damage, list_entries, structure, walk

RangeState = Literal["built-in", "loaded", "unloaded"]

CODETAG_FLAG_INACCURATE = 1

# More tags than this in one range are a damaged pointer: the largest kernels have 100,000.
MAX_TAGS = 1 << 20

_RANGES = structure(
    "the IDR of tag ranges (alloc_tag_cttype->mod_idr)", "tag range", code=Code.UNREADABLE
)
_TYPES = structure("the list of code tag types", "code tag type")


@dataclass(frozen=True)
class TagRange:
    """A contiguous array of ``struct alloc_tag``."""

    start: int
    stop: int
    module: str
    """Empty for the kernel itself; for an unloaded module it may be unknown, too."""
    state: RangeState
    source: str
    """Structure of the kernel that named the range."""


@dataclass
class TagRanges:
    """All ranges, in the order of /proc/allocinfo, then those of unloaded modules."""

    ranges: list[TagRange]
    expected: int | None
    """Number of tags that the kernel says are registered; None if that is unreadable."""
    problems: list[Problem] = field(default_factory=list)


def tag_ranges(prog: Program, modules: LoadedModules) -> TagRanges:
    """Find the ranges that are registered now: the kernel's and those of loaded modules.

    The kernel keeps them in ``alloc_tag_cttype->mod_idr``. A dump may have lost a node
    of it, so missing ranges are found through symbols and the module list.
    """
    walked = walk(
        prog,
        _RANGES,
        lambda: idr_entries(prog["alloc_tag_cttype"].mod_idr, "struct codetag_module"),
        _registered_range,
    )
    found = TagRanges(walked.found, _expected(prog), walked.problems)
    if found.problems or not found.ranges:
        _complete(prog, found, modules)
    return found


def _expected(prog: Program) -> int | None:
    try:
        return int(prog["alloc_tag_cttype"].count.value_())
    except Exception as e:
        if not is_damage(e):
            raise
        return None


def _registered_range(cmod: Object) -> TagRange:
    module = cmod.mod.read_()
    name = printable(module.name.string_()) if module else ""
    return TagRange(
        cmod.range.start.value_(),
        cmod.range.stop.value_(),
        name,
        "loaded" if module else "built-in",
        "IDR",
    )


def _complete(prog: Program, found: TagRanges, modules: LoadedModules) -> None:
    """Add ranges that the IDR did not give, from symbols and the module list.

    The IDR hands out the lowest free number, so unless modules were unloaded in
    between its order is the order of loading: the module list backwards.
    """
    known = {r.start for r in found.ranges}
    start = prog.symbol("__start_alloc_tags").address
    stop = prog.symbol("__stop_alloc_tags").address
    if start not in known:
        found.ranges.insert(0, TagRange(start, stop, "", "built-in", "symbols"))
    for module in reversed(modules.modules):
        try:
            span = module.section("alloc_tags")
        except Exception as e:
            if not is_damage(e):
                raise
            subject = f"the symbols of module {module.name}"
            found.problems.append(Problem(Code.UNREADABLE, subject, str(e), many=True))
            continue
        if span and span[0] not in known:
            found.ranges.append(TagRange(*span, module.name, "loaded", "module list"))


@dataclass(frozen=True)
class CodetagType:
    """A ``struct codetag_type`` as registered with ``codetag_register_type()``."""

    name: str
    """Name of its section."""
    tag_size: int
    count: int


def codetag_types(prog: Program) -> Walked[CodetagType]:
    """All registered kinds of code tags; allocation tags are ``alloc_tags``."""
    return walk(
        prog,
        _TYPES,
        lambda: list_entries("struct codetag_type", prog["codetag_types"].address_of_(), "link"),
        lambda cttype: CodetagType(
            printable(prog.read_c_string(cttype.desc.section, max_size=256)),
            cttype.desc.tag_size.value_(),
            cttype.count.value_(),
        ),
    )


@dataclass
class Tags:
    """An array of tags, one column per member.

    Strings stay pointers: many tags share them (:meth:`Memory.strings` reads them).
    """

    address: npt.NDArray[np.uint64]
    raw: npt.NDArray[np.void]
    """Fields ``flags``, ``lineno``, ``modname``, ``function``, ``filename``, ``counters``."""
    readable: Bool

    def __len__(self) -> int:
        return len(self.address)


def tag_dtype(prog: Program) -> np.dtype[np.void]:
    """dtype of ``struct alloc_tag``."""
    ct = ("flags", "lineno", "modname", "function", "filename")
    members = {name: f"ct.{name}" for name in ct} | {"counters": "counters"}
    return dtype_of(prog.type("struct alloc_tag"), members)


def read_tags(memory: Memory, start: int, stop: int) -> Tags:
    """Read the tags between two addresses in one run."""
    dtype = tag_dtype(memory.prog)
    count = min(max(0, stop - start) // dtype.itemsize, MAX_TAGS)
    data, ok = memory.read(start, count * dtype.itemsize)
    return Tags(
        np.uint64(start) + np.arange(count, dtype=np.uint64) * np.uint64(dtype.itemsize),
        data.view(dtype),
        each_whole(ok, dtype.itemsize),
    )


def describe_tag(prog: Program, address: int) -> str:
    """Format a struct alloc_tag outside of all known ranges; empty if there is none.

    It has to prove itself: a possible line number, and three pointers to names.
    """
    memory = Memory(prog)
    tags = read_tags(memory, address, address + tag_dtype(prog).itemsize)
    raw = tags.raw[0]
    pointers = np.array([raw[n] for n in ("filename", "modname", "function")], np.uint64)
    strings = memory.strings(pointers)
    names = [strings[int(p)] for p in pointers]
    if not tags.readable[0] or not 0 < raw["lineno"] < MAX_TAGS or not all(names):
        return ""
    file, module, function = (printable(n or b"") for n in names)
    return f"{file}:{raw['lineno']} [{module}] func:{function}"
