# SPDX-License-Identifier: LGPL-2.1-or-later
"""Page frames in columns, one section of memory at a time.

Mirrors ``include/linux/page-flags.h``, ``include/linux/mm_types.h`` (``struct page``) and
``mm/page_ext.c``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from drgn import Program, offsetof, sizeof

from ...arrays import U64, Bool, Int, ranges
from ...problems import Code, Problem
from ...source.dtypes import dtype_of
from ...source.memory import Memory, each_whole
from ...text import printable
from ..kernel import Kernel
from ..layouts import CompoundPages, FolioOrders, PageFlags, PageReferences
from ..tags.references import NONE, PageFlagRefs, Rows, SiteIndex, page_flag_refs
from .kfence import kfence_frames
from .page_lists import pcp_blocks
from .page_types import UNACCEPTED, PageKind, PageTypeReader
from .sections import MemorySection, page_ext_size, sections

_NOT_MAPPED = 0xFFFF_FFFF
"""``page->_mapcount`` is -1."""
_LARGE_MAPCOUNT = "large_mapcount"
_MAX_ORDER = 40
"""Higher ones are damage."""


@dataclass(frozen=True)
class Before:
    """A gigantic page that began before the frames next to one another."""

    pages: int
    """Those of it that are among them."""
    order: int
    counted: bool
    """Somebody has a reference to it."""


@dataclass
class Frames:
    """Page frames next to one another; all columns have shape (number of pages,)."""

    section: MemorySection
    raw: npt.NDArray[np.void]
    """Fields of struct page: flags, page_type, refcount, mapping, private ..."""
    kind: npt.NDArray[np.uint8]
    """A :class:`PageKind`."""
    head: npt.NDArray[np.int32]
    """Index of the first page of the allocation or free block that a page is part of."""
    order: npt.NDArray[np.uint8]
    """Of the allocation or free block, as far as struct pages tell; at its first page."""
    site: Rows
    """Row of the site that a page's own reference points at."""
    refs: U64
    """The references themselves: addresses of tags."""
    loose: Bool
    """Allocated but counted by no reference of their own or of a compound head, and on no list:
    tails of higher-order allocations that are not compound, or memory that was never tagged."""
    before: Before | None = None
    """The gigantic page that the first pages here are still of."""

    @property
    def is_head(self) -> Bool:
        """First pages of allocations and free blocks."""
        return np.asarray(self.head == np.arange(len(self.head), dtype=np.int32))

    @property
    def is_free(self) -> Bool:
        return np.asarray((self.kind == PageKind.FREE) | (self.kind == PageKind.FREE_PCP))

    @property
    def is_unmapped(self) -> Bool:
        """Anonymous pages that no task maps: just allocated, being freed, or in the swap cache.

        Types of pages share a word with ``page->_mapcount``. Of larger folios all pages, if
        none is mapped: ``folio->_large_mapcount``, which is in the first tail, since Linux 6.10.
        """
        heads = np.flatnonzero((self.kind == PageKind.ANONYMOUS) & self.is_head)
        large = heads[(self.order[heads] > 0) & (heads + 1 < len(self.raw))]
        single = heads[self.order[heads] == 0]
        unmapped = np.zeros(len(self.raw), np.bool_)
        unmapped[single] = self.raw["page_type"][single] == _NOT_MAPPED
        if _LARGE_MAPCOUNT in (self.raw.dtype.names or ()):
            unmapped[large] = self.raw[_LARGE_MAPCOUNT][large + 1] == -1
        return np.asarray(unmapped[self.head])

    @property
    def pfn(self) -> npt.NDArray[np.int64]:
        return self.section.pfn + np.arange(len(self.raw), dtype=np.int64)


class FrameReader:
    """Reads and classifies page frames.

    :raises LookupError: if the kernel's types lack what this needs
    """

    def __init__(self, kernel: Kernel, index: SiteIndex) -> None:
        prog = kernel.prog
        self.kernel, self.memory = kernel, kernel.memory
        self.index = index
        self.free_pages = 0
        self.free_blocks: list[Int] = []
        """First page frames of the free blocks that the last iteration left out, in parts."""
        self.problems: list[Problem] = []
        self.sections = sections(kernel)
        self.page_size = sizeof(prog.type("struct page"))
        self.dtype = page_dtype(kernel)
        assert self.dtype.fields
        self._flags_offset = self.dtype.fields["flags"][1]
        page = prog.type("struct page")
        renamed = kernel.layouts[CompoundPages] is CompoundPages.INFO
        self._compound_offset = offsetof(page, "compound_info" if renamed else "compound_head")
        self.types = PageTypeReader(kernel)
        self.window = min(1 << kernel.max_order, self.sections[0].pages)
        """Page frames that are looked at together: the largest block of the buddy allocator."""
        self.kfence = kfence_frames(kernel)
        """First page frame of KFENCE's pool, and that behind it; the same if there is none."""
        self.flag_refs: PageFlagRefs | None = page_flag_refs(kernel)
        self._flag = {
            name: np.uint64(1 << prog.constant("PG_" + name).value_())
            for name in ("head", "reserved", "swapbacked", "lru")
        }
        self._poisoned = np.uint64(0)
        with suppress(LookupError):  # without CONFIG_MEMORY_FAILURE
            self._poisoned = np.uint64(1 << prog.constant("PG_hwpoison").value_())
        self._ext_size = self._ext_offset = 0
        if kernel.layouts[PageReferences] is PageReferences.PAGE_EXT and any(
            s.page_ext for s in self.sections
        ):
            self._ext_size = page_ext_size(prog)
            self._ext_offset = prog["page_alloc_tagging_ops"].offset.value_()
            if not 0 <= self._ext_offset <= self._ext_size - 8:
                raise ValueError(f"page_alloc_tagging_ops.offset is damaged: {self._ext_offset:,}")

    def __iter__(self) -> Iterator[Frames]:
        """All page frames but those of the largest free blocks, ascending.

        Of these, which :attr:`free_pages` counts, no struct page but the first is read:
        on a machine with much free memory, that is most of them.
        """
        self.free_pages = 0
        self.free_blocks = []
        # A gigantic page goes on in the sections after that of its head.
        gigantic_until, gigantic_kind = 0, PageKind.IN_USE
        gigantic_order, gigantic_counted = 0, False
        for section in self._without_free_blocks():
            frames = self._read(section)
            covered = min(max(0, gigantic_until - section.pfn), section.pages)
            if covered:
                frames.kind[:covered] = gigantic_kind
                frames.head[:covered] = 0
                frames.loose[:covered] = False
                frames.before = Before(covered, gigantic_order, gigantic_counted)
            yield frames
            large = np.flatnonzero(frames.order > 0)
            if len(large):
                last = int(large[-1])
                gigantic_until = section.pfn + last + (1 << int(frames.order[last]))
                gigantic_kind = PageKind(int(frames.kind[last]))
                gigantic_order = int(frames.order[last])
                gigantic_counted = bool(frames.raw["refcount"][last] > 0)

    def _without_free_blocks(self) -> Iterator[MemorySection]:
        fields = self.dtype.fields
        assert fields
        place = fields["page_type"][1]
        # The 64-bit word that page_type is in.
        word, shift = np.uint64(place // 8 * 8), np.uint64(place % 8 * 8)
        private = np.uint64(fields["private"][1])
        window = self.window
        whole = window.bit_length() - 1
        for section in self.sections:
            windows = section.pages // window
            step = window * self.page_size
            heads = np.uint64(section.memmap) + np.arange(windows, dtype=np.uint64) * step
            types, _ = self.memory.words(heads + word)
            free = self.types.kinds((types >> shift).astype(np.uint32)) == PageKind.FREE
            if free.any():
                free[free] = self.memory.words(heads[free] + private)[0] == whole
            self.free_pages += int(np.count_nonzero(free)) * window
            self.free_blocks.append(section.pfn + np.flatnonzero(free) * window)
            for run in np.split(np.arange(windows), np.flatnonzero(np.diff(free)) + 1):
                if len(run) and not free[run[0]]:
                    yield self._part(section, int(run[0]) * window, len(run) * window)

    def _part(self, section: MemorySection, skip: int, pages: int) -> MemorySection:
        ext = section.page_ext and section.page_ext + skip * self._ext_size
        memmap = section.memmap + skip * self.page_size
        return MemorySection(section.pfn + skip, pages, memmap, ext)

    def around(self, pfn: int) -> Frames | None:
        """The largest free block or ordinary allocation that *pfn* can be part of."""
        for section in self.sections:
            if section.pfn <= pfn < section.pfn + section.pages:
                first = max(section.pfn, pfn & -self.window)
                skip = first - section.pfn
                pages = min(self.window, section.pages - skip)
                return self._read(self._part(section, skip, pages))
        return None

    def compound_head(self, pfn: int) -> int:
        """The first page frame of the compound page that one is part of, however far away.

        Mirrors ``_compound_head()`` in ``include/linux/page-flags.h``. In Linux 7.1 and later,
        ``compound_info`` may be a mask for the address of the struct page.
        """
        section = next((s for s in self.sections if s.pfn <= pfn < s.pfn + s.pages), None)
        if section is None:
            return pfn
        page = section.memmap + (pfn - section.pfn) * self.page_size
        words, _ = self.memory.words(np.array([page + self._compound_offset], np.uint64))
        info = int(words[0])
        if not info & 1:
            return pfn
        clears = (1 << 64) - (info - 1)
        head = page & info if clears & (clears - 1) == 0 else info - 1
        found = int(self.pfn_of(np.array([head], np.uint64))[0])
        return found if 0 <= found < pfn else pfn

    def of_users(self, flags: U64) -> Bool:
        """By page flags: pages on their way to or from page cache and swap have no mapping,
        but are on the lists of what can be reclaimed, or meant for swap.
        """
        return np.asarray(flags & (self._flag["lru"] | self._flag["swapbacked"]) != 0)

    @cached_property
    def pcp(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """Free blocks on per-CPU lists, ascending."""
        pfn, order, problems = pcp_blocks(self.kernel, self.pfn_of)
        self.problems += problems
        # A damaged list could lead to the same page twice.
        pfn, first = np.unique(pfn, return_index=True)
        return pfn, order[first]

    @property
    def page_ext_bytes(self) -> int:
        """Bytes of all page extensions."""
        return sum(size for _, size in self.page_ext_tables)

    @property
    def page_ext_tables(self) -> list[tuple[int, int]]:
        """Page frame that the extensions of each section begin in, and their bytes; of those in
        vmalloc space, a page frame of the section itself: they are allocated on its node."""
        found = []
        for section in self.sections:
            if section.page_ext:
                pfn = int(self.kernel.frame_at(np.array([section.page_ext], np.uint64))[0])
                inside = any(s.pfn <= pfn < s.pfn + s.pages for s in self.sections)
                size = section.pages * self._ext_size
                found.append((pfn if inside else section.pfn, size))
        return found

    def references(self, section: MemorySection, flags: U64) -> U64:
        """The reference of each page of a section: an address of a tag, 0 or 1."""
        if self.flag_refs is not None:
            return self.flag_refs.addresses(flags)
        if not section.page_ext or not self._ext_size:
            return np.zeros(section.pages, np.uint64)
        data, _ = self.memory.read(section.page_ext, section.pages * self._ext_size)
        table = data.reshape(section.pages, self._ext_size)
        at = self._ext_offset
        return np.ascontiguousarray(table[:, at : at + 8]).view(np.uint64).ravel()

    def _read(self, section: MemorySection) -> Frames:
        data, ok = self.memory.read(section.memmap, section.pages * self.page_size)
        raw: npt.NDArray[np.void] = data.view(self.dtype)
        readable = each_whole(ok, self.page_size)
        refs = self.references(section, raw["flags"])
        kind = self.types.kinds(raw["page_type"], raw["flags"])
        for name in self.types.unknown_in(raw["page_type"]):
            self._note_type(name)
        pcp_pfn, pcp_order = self.pcp
        first, last = np.searchsorted(pcp_pfn, (section.pfn, section.pfn + section.pages))
        pcp, pcp_order = pcp_pfn[first:last] - section.pfn, pcp_order[first:last]
        # Since the lists were read, a running kernel may have handed out some.
        still = (kind[pcp] == PageKind.IN_USE) & (raw["refcount"][pcp] == 0)
        pcp, pcp_order = pcp[still], pcp_order[still]
        kind[pcp] = PageKind.FREE_PCP
        order = self._orders(section.pfn, raw, kind)
        order[pcp] = pcp_order
        head, tail = _extents(order)
        mapping, flags = raw["mapping"], raw["flags"]
        plain = (kind == PageKind.IN_USE) & ~tail
        # Types share their word with the mapping count, and their pages have no mapping.
        used = plain & (mapping != 0) & (raw["refcount"] > 0)
        anonymous = used & (mapping & np.uint64(1) != 0)
        cache = used & ~anonymous & (mapping & np.uint64(2) == 0) & (mapping >> np.uint64(47) != 0)
        kind[anonymous] = PageKind.ANONYMOUS
        kind[cache] = PageKind.CACHE
        kind[cache & (flags & self._flag["swapbacked"] != 0)] = PageKind.SHMEM
        kind[plain & (flags & self._flag["reserved"] != 0)] = PageKind.RESERVED
        if self._poisoned:
            kind[plain & (flags & self._poisoned != 0) & (order == 0)] = PageKind.POISONED
        kind[tail] = kind[head[tail]]
        # KFENCE marks pages of its pool as slabs, which its caches do not count.
        low, high = (min(max(0, at - section.pfn), len(kind)) for at in self.kfence)
        kind[low:high] = PageKind.RESERVED
        kind[~readable] = PageKind.UNREADABLE
        site = self.index.rows(refs)
        loose = (kind == PageKind.IN_USE) & (site == NONE) & ~tail
        loose &= ~self._listed(section, raw, loose & (raw["refcount"] == 0))
        return Frames(section, raw, kind, head, order, site, refs, loose)

    def _listed(self, section: MemorySection, raw: npt.NDArray[np.void], among: Bool) -> Bool:
        """Mark pages that are on a list: both neighbours in ``page->lru`` point back.

        Free blocks are that compaction has taken and will fill: see ``compaction_alloc_noprof()``
        in ``mm/compaction.c``. A tail is on none: its links are poison, or point at itself since
        ``__init_single_page()``.
        """
        found = np.zeros(len(among), np.bool_)
        if "lru_next" not in (raw.dtype.names or ()):
            return found
        pages = np.flatnonzero(among)
        assert raw.dtype.fields
        offset = raw.dtype.fields["lru_next"][1] + pages * self.page_size
        own = np.uint64(section.memmap) + offset.astype(np.uint64)
        after, before = raw["lru_next"][pages], raw["lru_prev"][pages]
        some = np.flatnonzero((after != 0) & (after != own) & (before % 8 == 0))
        # What else may be there need not be an address, and nothing is missing then.
        memory = Memory(self.memory.prog)
        back, _ = memory.words(after[some] + np.uint64(8))
        forth, _ = memory.words(before[some])
        found[pages[some]] = (back == own[some]) & (forth == own[some])
        return found

    def _note_type(self, name: str) -> None:
        problem = Problem(
            Code.LIMITED,
            f"this version of allocdump does not know their type {printable(name.encode())}",
            affects="some pages count as in use",
        )
        if problem not in self.problems:
            self.problems.append(problem)

    def _orders(
        self, pfn: int, raw: npt.NDArray[np.void], kind: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.uint8]:
        """Orders of free blocks and compound pages at their first pages, 0 elsewhere.

        :param pfn: of the first page
        """
        order = np.zeros(len(raw), np.uint8)
        free = kind == PageKind.FREE
        order[free] = np.minimum(raw["private"][free], _MAX_ORDER)
        # Only the largest blocks wait to be accepted.
        whole = self.window.bit_length() - 1
        order[self.types.is_type(UNACCEPTED, raw["page_type"])] = whole
        heads = np.flatnonzero(~free & (raw["flags"] & self._flag["head"] != 0))
        heads = heads[heads + 1 < len(raw)]
        # folio_large_order() of the first tail; before Linux 6.6, compound_order().
        kept = raw["compound_order" if "compound_order" in (raw.dtype.names or ()) else "flags"]
        order[heads] = np.minimum(kept[heads + 1] & np.uint64(0xFF), _MAX_ORDER)
        # All of them are aligned to their size. One that is not is damaged, or was read while
        # a running kernel was putting it together.
        large = np.flatnonzero(order)
        size = np.int64(1) << order[large].astype(np.int64)
        order[large[(pfn + large) % size != 0]] = 0
        return order

    def sites_of(self, pages: U64) -> Rows:
        """Sites of single pages, by the addresses of their struct pages."""
        return self.index.rows(self.refs_of(pages))

    def refs_of(self, pages: U64) -> U64:
        """References of single pages, by the addresses of their struct pages; 0 for none."""
        pfn = self.pfn_of(pages)
        if self.flag_refs is not None:
            flags, _ = self.memory.words(pages + np.uint64(self._flags_offset))
            refs = self.flag_refs.addresses(flags)
        else:
            starts = np.array([s.pfn for s in self.sections], np.int64)
            bases = np.array([s.page_ext for s in self.sections], np.uint64)
            which = np.maximum(np.searchsorted(starts, pfn, side="right") - 1, 0)
            index = (pfn - starts[which]) * self._ext_size + self._ext_offset
            refs, _ = self.memory.words(bases[which] + index.astype(np.uint64))
        return np.where(pfn >= 0, refs, np.uint64(0))

    @cached_property
    def _places(self) -> tuple[U64, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Of each section: address of its struct pages, first page frame, number of pages."""
        return (
            np.array([s.memmap for s in self.sections], np.uint64),
            np.array([s.pfn for s in self.sections], np.int64),
            np.array([s.pages for s in self.sections], np.int64),
        )

    def pfn_of(self, pages: U64) -> npt.NDArray[np.int64]:
        """Page frame numbers of struct pages; -1 for addresses of none."""
        starts, pfns, counts = self._places
        which = np.searchsorted(starts, pages, side="right") - 1
        found = which >= 0
        which[~found] = 0
        offset = pages - starts[which]
        index = (offset // np.uint64(self.page_size)).astype(np.int64)
        found &= (offset % np.uint64(self.page_size) == 0) & (index < counts[which])
        return np.where(found, pfns[which] + index, -1)


def _extents(order: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int32], Bool]:
    """Extents of allocations: index of each page's first one, and whether it is a tail."""
    count = len(order)
    index = np.arange(count, dtype=np.int32)
    starts = np.flatnonzero(order)
    # The start at or before each page, and where what starts there ends.
    owner = np.maximum.accumulate(np.where(order > 0, index, 0))
    ends = np.arange(1, count + 1, dtype=np.int64)
    ends[starts] = starts + (np.int64(1) << order[starts].astype(np.int64))
    tail = (order == 0) & (index < ends[owner]) & (owner != index)
    return np.where(tail, owner, index).astype(np.int32), tail


def loose_tails(
    frames: Frames, most_pages: Int | None = None
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Tails of higher-order allocations that are not compound.

    Nothing stores the order of such an allocation. Its first page carries the reference;
    the others look like nothing: no reference, no type, reference count zero, and on no
    list. The order is the largest that the first page's alignment, what follows it and the
    counter of its site allow.

    :param most_pages: pages that one allocation has at most, of each site that has a counter
    :return: indexes of the tails, and for each that of the first page
    """
    loose = frames.loose & (frames.raw["refcount"] == 0)
    count = len(loose)
    # The first page that is not loose, from each page on.
    index = np.arange(count)
    stop = np.minimum.accumulate(np.where(loose, count, index)[::-1])[::-1]
    starts = np.flatnonzero(
        (frames.site >= 0) & (frames.kind == PageKind.IN_USE) & (frames.order == 0) & ~loose
    )
    starts = starts[(starts + 1 < count)]
    starts = starts[(frames.head[starts] == starts) & loose[starts + 1]]
    room = stop[starts + 1] - starts
    if most_pages is not None:
        site = frames.site[starts]
        counted = site < len(most_pages)
        room[counted] = np.minimum(room[counted], most_pages[site[counted]])
    pfn = frames.section.pfn + starts
    aligned = np.where(pfn == 0, 1 << 20, pfn & -pfn)
    order = np.minimum(np.log2(room), np.log2(aligned)).astype(np.int64)
    lengths = (1 << order) - 1
    first = np.repeat(starts, lengths)
    tails = first + 1 + ranges(lengths)
    return tails, first


def page_dtype(kernel: Kernel) -> np.dtype[np.void]:
    """dtype of ``struct page`` with what allocdump reads of it."""
    type_ = kernel.prog.type("struct page")
    members = {
        "flags": "flags.f" if kernel.layouts[PageFlags] is PageFlags.MEMDESC else "flags",
        "page_type": "page_type",
        "refcount": "_refcount.counter",
        "mapping": "mapping",
        "private": "private",
    }
    for optional in ("memcg_data", "index"):
        if type_.has_member(optional):
            members[optional] = optional
    if type_.has_member("pp_magic") and type_.has_member("pp"):
        members |= {"pp_magic": "pp_magic", "pp": "pp"}
    if type_.has_member("lru"):
        members |= {"lru_next": "lru.next", "lru_prev": "lru.prev"}
    if kernel.layouts[FolioOrders] is FolioOrders.MEMBER:
        members["compound_order"] = "compound_order"
    return _of_first_tails(kernel.prog, dtype_of(type_, members))


def _of_first_tails(prog: Program, dtype: np.dtype[np.void]) -> np.dtype[np.void]:
    """Add what a folio keeps in the struct page of its first tail."""
    try:
        offset = offsetof(prog.type("struct folio"), "_large_mapcount.counter") - dtype.itemsize
    except LookupError:
        return dtype
    if not 0 <= offset <= dtype.itemsize - 4:
        return dtype
    assert dtype.fields
    fields = {name: field[:2] for name, field in dtype.fields.items()}
    fields[_LARGE_MAPCOUNT] = np.dtype(np.int32), offset
    return np.dtype(
        {
            "names": list(fields),
            "formats": [format_ for format_, _ in fields.values()],
            "offsets": [at for _, at in fields.values()],
            "itemsize": dtype.itemsize,
        }
    )
