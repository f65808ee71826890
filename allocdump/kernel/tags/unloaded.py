# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tags of modules that were unloaded while memory they allocated was alive.

/proc/allocinfo never shows them: ``codetag_unload_module()`` takes the module out of
the IDR. What stays depends on the kernel:

- Since Linux kernel commit 0db6f8d7820a ("alloc_tag: load module tags into separate
  contiguous memory") (in v6.13): tags stay in the ``module_tags`` area, which the maple tree
  ``mod_area_mt`` assigns to ``unloaded_mod``. The strings they point at are gone.
- The counters stay since 12ca42c23775 ("alloc_tag: allocate percpu counters for module tags
  dynamically") (in v6.15 and v6.14.9); in 6.13 and 6.14 before it, others use their memory.
- 6.10 to 6.12: ``free_mod_mem()`` keeps the module's data, so tags and strings stay, in
  memory that no module owns. The counters were freed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from drgn import FaultError, Object, Program

from ...arrays import U64
from ...problems import Code, Problem
from ...source.memory import Memory
from ..kernel import Kernel
from ..layouts import ModuleCounters, ModuleTags, UnknownLayoutError
from ..machine.log import UnloadMessage
from ..machine.modules import LoadedModules
from ..maple import maple_entries
from ..walk import is_damage, structure, walk
from .codetag import RangeState, TagRange, read_tags, tag_dtype
from .counters import sum_counters
from .sites import UNKNOWN, Provenance, Sites, named_sites

# No more than this is read in search of tags that nothing points at.
_MAX_ORPHANED = 256 << 20
_ORPHANED = "module data that stayed"
_MAX_LINE = 1 << 20
_KERNEL_HALF = np.uint64(1 << 63)

_TREE = structure(
    "the maple tree of module tags (mod_area_mt)",
    "entry of the maple tree of module tags",
    "entries of the maple tree of module tags",
    code=Code.UNREADABLE,
)


def unloaded_ranges(
    kernel: Kernel, known: list[TagRange], modules: LoadedModules
) -> tuple[list[TagRange], list[Problem]]:
    """Find the tags of unloaded modules.

    Where that takes a look at every record, those of loaded modules that are not
    among *known* turn up, too.

    :param known: the ranges that are registered
    :return: the ranges, and what was unreadable
    """
    prog, memory = kernel.prog, kernel.memory
    if kernel.layouts[ModuleTags] is ModuleTags.MODULE_DATA:
        return _orphaned(prog, modules)
    try:
        area = prog["module_tags"].read_()
    except (FaultError, LookupError) as e:
        return [], [Problem(Code.UNREADABLE, "the area of module tags", str(e))]
    start, size = area.start_addr.value_(), area.size.value_()
    if not size:
        return [], []
    end = area.end_addr.value_()
    # Its start is moved up to a multiple of a tag's size: alloc_mod_tags_mem().
    if not (start <= end and size <= end - start + memory.page):
        return [], [Problem(Code.DAMAGED, "the area of module tags")]

    def in_area(entry: tuple[int, int, Object]) -> tuple[int, int, bool]:
        first, last, owner = entry
        if not first <= last < size:
            raise ValueError("it lies outside of the area")
        return first, last, owner.value_() == prog.symbol("unloaded_mod").address

    entries = walk(
        prog,
        _TREE,
        lambda: maple_entries(prog["mod_area_mt"].address_of_()),
        in_area,
        key=lambda entry: entry[0],
    )
    if not entries.problems:
        return [
            TagRange(start + first, start + last + 1, "", "unloaded", "maple tree")
            for first, last, is_gone in entries
            if is_gone
        ], []
    length = min(size, end - start, _MAX_ORPHANED)
    rest = _without([(start, start + length)], [(r.start, r.stop) for r in known])
    found = [span for piece in rest for span in find_records(memory, *piece)]
    return [_from_records(memory, *span) for span in found], entries.problems


def _from_records(memory: Memory, start: int, stop: int) -> TagRange:
    """A range of the module tags area: its strings are gone if the module is."""
    module = str(named_sites(memory, read_tags(memory, start, stop)).module[0])
    state: RangeState = "unloaded" if module == UNKNOWN else "loaded"
    return TagRange(start, stop, "" if module == UNKNOWN else module, state, "records")


def _orphaned(prog: Program, modules: LoadedModules) -> tuple[list[TagRange], list[Problem]]:
    """6.10 to 6.12: look for records in module memory that no loaded module owns."""
    try:
        tree = prog["mod_tree"]
        span = (tree.addr_min.value_(), tree.addr_max.value_())
        owned = [
            (start, start + size) for m in modules.modules for start, size in m.regions() if size
        ]
    except Exception as e:
        if not is_damage(e):
            raise
        subject = "memory of unloaded modules cannot be told from that of loaded ones"
        return [], [Problem(Code.LIMITED, subject, str(e))]
    if not 0 < span[1] - span[0] <= 4 * _MAX_ORPHANED:
        return [], []
    # Holes are what is expected between modules: they do not count.
    memory = Memory(prog)
    return [
        TagRange(*found, "", "unloaded", _ORPHANED)
        for piece in _without([span], owned)
        for found in find_records(memory, *piece)
    ], []


def _without(spans: list[tuple[int, int]], holes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of *spans* that no hole covers; both are (start, end)."""
    for start, end in sorted(holes):
        spans = [
            part
            for s, e in spans
            for part in ((s, min(e, start)), (max(s, end), e))
            if part[0] < part[1]
        ]
    return spans


def find_records(memory: Memory, start: int, end: int) -> list[tuple[int, int]]:
    """Find arrays of ``struct alloc_tag`` between two addresses by their looks.

    A record is taken for a tag if its line number, flags and three string pointers are
    possible, and what they point at, if it can be read, are names.

    :return: (start, end) of each array found; one array is of one module
    """
    dtype = tag_dtype(memory.prog)
    data, _ = memory.read(start, end - start)
    count = (len(data) - dtype.itemsize) // 8 + 1
    if count < 1:
        return []
    # Tags are 8-byte aligned: every word may start one.
    records: npt.NDArray[np.void] = np.ndarray((count,), dtype, data.data, strides=(8,))
    looks = (records["lineno"] > 0) & (records["lineno"] < _MAX_LINE) & (records["flags"] < 256)
    for name in ("modname", "function", "filename"):
        looks &= records[name] > _KERNEL_HALF
    # Different strings, though all names of one module lie close together.
    looks &= records["modname"] != records["filename"]
    candidates = np.flatnonzero(looks)
    pointers: U64 = np.concatenate(
        [records[name][candidates] for name in ("modname", "function", "filename")]
    )
    strings = memory.strings(pointers)
    spans: list[tuple[int, int]] = []
    last_module = 0
    for i in candidates.tolist():
        address = start + 8 * i
        names = [strings[int(records[f][i])] for f in ("modname", "function", "filename")]
        if any(n is not None and not is_name(n) for n in names):
            continue
        if spans and address < spans[-1][1]:
            continue  # overlaps the record before
        # Arrays of two modules may touch; the tags of one share the string of its name.
        module, last_module = last_module, int(records["modname"][i])
        if spans and address == spans[-1][1] and module == last_module:
            spans[-1] = (spans[-1][0], address + dtype.itemsize)
        else:
            spans.append((address, address + dtype.itemsize))
    return spans


def is_name(raw: bytes) -> bool:
    """Tell if a string can be the name of a file, function or module."""
    return 0 < len(raw) < 512 and raw.isascii() and raw.decode().isprintable() and b" " not in raw


def unloaded_sites(kernel: Kernel, span: TagRange, messages: list[UnloadMessage]) -> Sites:
    """Sites of an unloaded module that still hold memory, as far as the dump tells."""
    tags = read_tags(kernel.memory, span.start, span.stop)
    sites = named_sites(kernel.memory, tags)
    sites.unloaded[:] = True
    if span.source == _ORPHANED:
        return _numbers_from_log(sites, messages)
    if not _counters_stay(kernel):
        return _all_from_log(sites.take(tags.readable), messages)
    total, calls, counted = sum_counters(kernel, tags.raw["counters"])
    sites.bytes, sites.calls = total.view(np.int64), calls
    sites.evidence[counted] = Provenance.COUNTER
    # clean_unused_counters() frees the counters of tags that count nothing.
    alive = tags.readable & (tags.raw["counters"] != 0) & ((total != 0) | ~counted)
    return _names_from_log(sites.take(alive), messages)


def _counters_stay(kernel: Kernel) -> bool:
    """Tell if unloading a module leaves its counters alone; not where nothing tells."""
    try:
        return kernel.layouts[ModuleCounters] is ModuleCounters.ALLOCATED
    except UnknownLayoutError:
        return False


def _numbers_from_log(sites: Sites, messages: list[UnloadMessage]) -> Sites:
    """6.10 to 6.12: the counters are gone, the kernel log has their values."""
    left = {(m.file, m.line, m.module, m.function): m.bytes for m in messages}
    modules = {m.module for m in messages}
    rows = []
    names = zip(sites.file, sites.line.tolist(), sites.module, sites.function, strict=True)
    for i, key in enumerate(names):
        if key in left:
            sites.bytes[i], sites.evidence[i] = left[key], Provenance.KERNEL_LOG
        elif sites.module[i] in modules:
            continue  # the kernel would have logged it
        rows.append(i)
    return sites.take(np.array(rows, np.intp))


def _forget_names(
    sites: Sites, messages: list[UnloadMessage]
) -> dict[str, dict[int, UnloadMessage]]:
    """Take away names that went with their module; return the log by module and line number."""
    sites.inferred[:] = True
    for column in (sites.file, sites.function, sites.module):
        column[:] = UNKNOWN
    by_module: dict[str, dict[int, UnloadMessage]] = {}
    for message in messages:
        by_module.setdefault(message.module, {})[message.line] = message
    return by_module


def _all_from_log(sites: Sites, messages: list[UnloadMessage]) -> Sites:
    """6.13 and 6.14: names and counters are gone; the kernel log has both, by line number."""
    by_module = _forget_names(sites, messages)
    lines = set(sites.line.tolist())
    # It logs what tags of the module count: all those lines are there.
    named = [module for module, logged in by_module.items() if logged.keys() <= lines]
    best = max(named, key=lambda module: len(by_module[module]), default=None)
    if best is None:
        return sites
    left = by_module[best]
    sites = sites.take(np.flatnonzero(np.isin(sites.line, list(left))))
    for i, line in enumerate(sites.line.tolist()):
        message = left[line]
        sites.file[i], sites.function[i], sites.module[i] = message.file, message.function, best
        sites.bytes[i], sites.evidence[i] = message.bytes, Provenance.KERNEL_LOG
    return sites


def _names_from_log(sites: Sites, messages: list[UnloadMessage]) -> Sites:
    """6.15 and later: the names are gone; match on line number and bytes."""
    by_module = _forget_names(sites, messages)
    held = list(zip(sites.line.tolist(), sites.bytes.tolist(), strict=True))

    def score(module: str) -> tuple[int, int]:
        lines = by_module[module]
        same = [lines[line].bytes == size for line, size in held if line in lines]
        return sum(same), len(same)

    best = max(by_module, key=score, default=None)
    if best is None or not score(best)[1]:
        return sites
    sites.module[:] = best
    for i, (line, _) in enumerate(held):
        if line in by_module[best]:
            sites.file[i] = by_module[best][line].file
            sites.function[i] = by_module[best][line].function
    return sites
