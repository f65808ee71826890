# SPDX-License-Identifier: LGPL-2.1-or-later
"""Slab objects and the references of each to its call site.

Mirrors ``mm/slab.h`` and ``mm/slub.c``. Where an object's extension lies, all by what
types and members the dump has:

- Linux 6.10 to 6.19: a vector of ``struct slabobj_ext`` outside of the slab.
- 7.0 to 7.2: the vector may lie at the end of the slab or in each object;
  ``slab->stride`` is the step.
- 7.3: ``struct slabobj_ext`` is one word. Each object has one for its memory cgroup if
  ``slab->obj_exts_needs_objcg``, then one for its tag; the step is their sum, or the size of
  an object if ``slab->obj_exts_in_object``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from drgn import FaultError, Object, Program, Type, TypeKind, offsetof, sizeof

from ...arrays import U64, Bool, ranges
from ...problems import Problem
from ...text import printable
from ..kernel import Kernel
from ..layouts import SlabCharges, SlabExtensions, has_constant, has_type, static_key
from ..tags.references import Rows, SiteIndex
from ..walk import list_entries, structure, walk
from .kfence import kfence_objects
from .page_types import PageKind
from .pages import Frames

_DEFAULT_FLAGS_MASK = 7

# Objects are read in batches of at most so many.
_BATCH = 1 << 20

_CACHES = structure("the list of slab caches", "slab cache")


@dataclass(frozen=True)
class Cache:
    """A ``struct kmem_cache``."""

    address: int
    name: str
    size: int
    """Bytes from one object to the next: what an object is accounted with."""
    object_size: int
    """Bytes that the user of an object asked for."""
    offset: int
    """Of the first object in a slab (``red_left_pad``)."""
    free_pointer: int = 0
    """Offset in a free object of the pointer to the next one."""
    random: int | None = None
    """Random value mixed into such pointers (CONFIG_SLAB_FREELIST_HARDENED)."""
    cpu_slab: int = 0
    """Per-CPU pointer to its ``struct kmem_cache_cpu`` (until Linux 6.19); or 0."""
    cpu_sheaves: int = 0
    """Per-CPU pointer to its ``struct slub_percpu_sheaves`` (since 6.18); or 0."""
    sheaf_capacity: int = 0
    """Objects that its sheaves have room for."""
    reclaimable: bool = False
    """The kernel can ask for its objects back: SLAB_RECLAIM_ACCOUNT."""
    shared: bool = False
    """Its objects are of several kinds: it serves kmalloc(), or caches were merged in it."""
    track: int = 0
    """Offset in an object of who allocated it, and who freed it (``slub_debug=U``); or 0."""


@dataclass
class Slabs:
    """The slabs of one section, one row each."""

    pfn: npt.NDArray[np.int64]
    address: U64
    """Of the slab's memory in the direct map; of KFENCE's objects, where one that begins there
    as in a slab begins."""
    order: npt.NDArray[np.uint8]
    cache: npt.NDArray[np.int32]
    """Index in :attr:`SlabReader.caches`; -1 if the cache is not known."""
    objects: npt.NDArray[np.int64]
    """Number of objects that the slab has room for."""
    vector: U64
    """Address of the first object's extension; 0 without one."""
    objcgs: U64
    """Address of the first object's pointer to its memory cgroup; 0 without one."""
    stride: npt.NDArray[np.int64]
    """Bytes from one object's extension to the next one's."""
    ref_offset: npt.NDArray[np.int64]
    failed: Bool
    """The vector could not be allocated: objects are allocated, but carry no tag."""
    freelist: U64
    """Its first free object; 0 if none is on its own list."""
    inuse: npt.NDArray[np.int64]
    """Objects that are not on that list: allocated, or on a CPU's list or in a sheaf."""
    kfence: Bool
    """Marks objects of KFENCE's: no slabs of their caches, but a page of its pool each."""

    def __len__(self) -> int:
        return len(self.pfn)


@dataclass
class Objects:
    """Objects of slabs; columns of shape (number of objects,)."""

    slab: npt.NDArray[np.int64]
    """Row of the slab."""
    index: npt.NDArray[np.int64]
    """Of the object in its slab."""
    address: U64
    site: Rows
    refs: U64
    readable: Bool
    """False for references that are not in the dump; the site is NONE then."""


@dataclass
class SlabReader:
    """Reads slabs out of page frames.

    :raises LookupError: if the kernel's types lack what this needs
    """

    kernel: Kernel
    index: SiteIndex
    caches: list[Cache] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        prog, self.memory = self.kernel.prog, self.kernel.memory
        self.type = prog.type("struct slab")
        self.direct_map = self.kernel.direct_map
        self.caches, self.problems = slab_caches(prog)
        untag = self.kernel.arch.untag
        addresses = untag(np.array([c.address for c in self.caches], np.uint64))
        self._order = np.argsort(addresses)
        self._addresses = addresses[self._order]
        # One more, so that row -1, no known cache, has a size, too.
        self.sizes = np.array([*(c.size for c in self.caches), 0], np.int64)
        self._offsets = np.array([*(c.offset for c in self.caches), 0], np.int64)
        # Kernels before 6.18, but for those that took its fix back, have another flag for it.
        self._failed, flags = (
            int(prog.constant(name).value_()) if has_constant(prog, name) else 0
            for name in ("OBJEXTS_ALLOC_FAIL", "__NR_OBJEXTS_FLAGS")
        )
        self._mask = flags - 1 if flags else _DEFAULT_FLAGS_MASK
        found = kfence_objects(self.kernel)
        self._kfence = found.take(found.allocated)
        self._kfence_pfn = self.kernel.frame_at(self._kfence.page)
        self._ext_size = self._ref_offset = 0
        # Without profiling, extensions are there for memory cgroups alone, or not at all.
        self._variant = self.kernel.layouts[SlabExtensions]
        self._has_refs = self._variant is not SlabExtensions.NONE
        self._charges = self.kernel.layouts[SlabCharges]
        self._objcg_offset = 0
        if self._charges is SlabCharges.POINTERS:
            self._ext_size = 8
        elif self._has_refs or self._charges is not SlabCharges.NONE:
            self._ext_size = sizeof(prog.type("struct slabobj_ext"))
        if self._charges is SlabCharges.EXTENSION:
            self._objcg_offset = offsetof(prog.type("struct slabobj_ext"), "objcg")
        if self._has_refs:
            ext = prog.type("struct slabobj_ext")
            if self._variant is SlabExtensions.WORDS:
                self._has_refs = static_key(prog, "slab_obj_ext_has_codetag_key") is not False
            else:
                self._ref_offset = offsetof(ext, "ref")

    def slabs(self, frames: Frames) -> Slabs:
        """The slabs of a section."""
        heads = np.flatnonzero((frames.kind == PageKind.SLAB) & frames.is_head)
        guarded = self._kfence_pfn - frames.section.pfn
        chosen = (guarded >= 0) & (guarded < len(frames.raw))
        heads = np.union1d(heads, guarded[chosen])
        pages = frames.raw.view(np.uint8).reshape(len(frames.raw), -1)[heads]
        untag = self.kernel.arch.untag
        pointer = untag(_field(pages, self.type, "slab_cache"))
        cache = np.full(len(heads), -1, np.int32)
        if len(self._addresses):
            where = np.minimum(np.searchsorted(self._addresses, pointer), len(self._addresses) - 1)
            known = self._addresses[where] == pointer
            cache[known] = self._order[where[known]]
        exts = stride = ref_offset = np.zeros(len(heads), np.int64)
        charged = np.zeros(len(heads), np.bool_)
        if self._ext_size:
            pointers = self._charges is SlabCharges.POINTERS
            exts = _field(pages, self.type, "memcg_data" if pointers else "obj_exts").view(np.int64)
            stride, ref_offset, charged = self._layout(pages, cache)
        vector = untag(exts.view(np.uint64) & ~np.uint64(self._mask))
        order = frames.order[heads]
        objects = _field(pages, self.type, "objects").astype(np.int64)
        # More objects than there are words in the slab are damage.
        shift = self.kernel.page.shift
        objects = np.minimum(objects, (1 << (shift - 3 + order.astype(np.int64))))
        pfn = frames.pfn[heads]
        address = self.kernel.frame_address(pfn)
        kfence = np.isin(heads, guarded[chosen])
        # Such an object begins somewhere in its page.
        address[kfence] = self._kfence.address[chosen] - self._offsets[cache[kfence]].view(
            np.uint64
        )
        freelist = untag(_field(pages, self.type, "freelist"))
        inuse = np.minimum(_field(pages, self.type, "inuse").astype(np.int64), objects)
        return Slabs(
            pfn,
            address,
            order,
            cache,
            objects,
            vector if self._has_refs else np.zeros_like(vector),
            np.where(charged & (vector != 0), vector + np.uint64(self._objcg_offset), 0),
            stride,
            ref_offset,
            (exts != 0) & (exts == self._failed) & self._has_refs,
            np.where(kfence, np.uint64(0), freelist),
            np.where(kfence, objects, inuse),
            kfence,
        )

    def _layout(
        self, pages: npt.NDArray[np.uint8], cache: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Bool]:
        """Step from one object's extension to the next, offset of the reference in it, and marks
        of slabs whose extensions have a memory cgroup."""
        count = len(pages)
        ref_offset = np.full(count, self._ref_offset, np.int64)
        charged = np.full(count, self._charges is not SlabCharges.NONE)
        if SlabExtensions.WORDS is self._variant or self._charges is SlabCharges.WORD:
            charged = _field(pages, self.type, "obj_exts_needs_objcg") != 0
            in_object = _field(pages, self.type, "obj_exts_in_object") != 0
            objcg = charged.astype(np.int64)
            step = (objcg + self._has_refs) * self._ext_size
            stride = np.where(in_object & (cache >= 0), self.sizes[cache], step)
            return stride, objcg * self._ext_size, charged
        if self.type.has_member("stride"):
            return _field(pages, self.type, "stride").astype(np.int64), ref_offset, charged
        return np.full(count, self._ext_size, np.int64), ref_offset, charged

    def objects(self, slabs: Slabs) -> Iterator[Objects]:
        """All objects, allocated or free, of slabs of known caches."""
        rows = np.flatnonzero(slabs.cache >= 0)
        # Neighbouring vectors share reads.
        rows = rows[np.argsort(slabs.vector[rows], kind="stable")]
        ends = np.cumsum(slabs.objects[rows])
        at = 0
        while at < len(rows):
            done = ends[at - 1] if at else 0
            to = max(at + 1, int(np.searchsorted(ends, done + _BATCH, side="right")))
            yield self.objects_of(slabs, rows[at:to])
            at = to

    def objects_of(self, slabs: Slabs, rows: npt.NDArray[np.intp]) -> Objects:
        """All objects of some slabs, of known caches: those of one after the other."""
        counts = slabs.objects[rows]
        slab = np.repeat(rows, counts)
        index = ranges(counts)
        refs, readable = np.zeros(len(slab), np.uint64), np.ones(len(slab), np.bool_)
        some = np.flatnonzero(slabs.vector[slab] != 0)
        if len(some):
            of = slab[some]
            place = slabs.vector.view(np.int64)[of] + index[some] * slabs.stride[of]
            place += slabs.ref_offset[of]
            refs[some], readable[some] = self.memory.words(place.view(np.uint64))
        return Objects(
            slab,
            index,
            self.object_address(slabs, slab, index),
            self.index.rows(refs),
            refs,
            readable,
        )

    def find(self, frames: Frames, address: int) -> tuple[Slabs, int, int] | None:
        """The slab and object that an address in the direct map is in.

        :param frames: page frames that the whole slab is in
        :return: the slabs of *frames*, the row of the slab, and the number of the object in it,
            which is out of bounds at the ends of a slab; None outside of slabs of known caches
        """
        slabs = self.slabs(frames)
        pfn = ((address - self.direct_map) >> self.kernel.page.shift) - frames.section.pfn
        if not 0 <= pfn < len(frames.head):
            return None
        head = frames.section.pfn + int(frames.head[pfn])
        row = int(np.searchsorted(slabs.pfn, head))
        if row >= len(slabs) or slabs.pfn[row] != head or slabs.cache[row] < 0:
            return None
        cache = self.caches[int(slabs.cache[row])]
        offset = address - int(slabs.address[row]) - cache.offset
        return slabs, row, offset // cache.size if cache.size else -1

    def object_address(
        self, slabs: Slabs, slab: npt.NDArray[np.int64], index: npt.NDArray[np.int64]
    ) -> U64:
        """Addresses of objects by row of their slab and index in it."""
        cache = slabs.cache[slab]
        offset = self._offsets[cache] + index * self.sizes[cache]
        return slabs.address[slab] + offset.astype(np.uint64)


def slab_caches(prog: Program) -> tuple[list[Cache], list[Problem]]:
    """All caches on the list ``slab_caches``, and what was unreadable."""
    reclaimable = _flag(prog, "_SLAB_RECLAIM_ACCOUNT", 0x20000)
    general = _flag(prog, "_SLAB_KMALLOC", 0x1000)
    tracking = _flag(prog, "_SLAB_STORE_USER", 0x10000)
    walked = walk(
        prog,
        _CACHES,
        lambda: list_entries("struct kmem_cache", prog["slab_caches"].address_of_(), "list"),
        lambda cache: _cache(cache, reclaimable, general, tracking),
    )
    return walked.found, walked.problems


def _flag(prog: Program, name: str, macro: int) -> int:
    """A flag of caches; zero if the kernel has no such flag.

    :param macro: its value until Linux 6.8, where no enumerator tells
    """
    if not has_type(prog, "enum _slab_flag_bits"):
        return macro
    return 1 << int(prog.constant(name).value_()) if has_constant(prog, name) else 0


def _cache(cache: Object, reclaimable: int, general: int, tracking: int) -> Cache:
    cache = cache.read_()
    return Cache(
        cache.value_(),
        _name(cache.prog_, cache.name.value_()),
        cache.size.value_(),
        cache.object_size.value_(),
        _member(cache, "red_left_pad") or 0,
        cache.offset.value_(),
        _member(cache, "random"),
        _member(cache, "cpu_slab") or 0,
        _member(cache, "cpu_sheaves") or 0,
        _member(cache, "sheaf_capacity") or 0,
        bool(cache.flags.value_() & reclaimable),
        bool(cache.flags.value_() & general) or cache.refcount.value_() > 1,
        _info_end(cache) if cache.flags.value_() & tracking else 0,
    )


def _info_end(cache: Object) -> int:
    """``get_info_end()``: what is behind an object, and a free pointer that is outside of it."""
    inuse, offset = cache.inuse.value_(), cache.offset.value_()
    return int(inuse + sizeof(cache.prog_.type("void *")) if offset >= inuse else inuse)


def _member(cache: Object, name: str) -> int | None:
    return int(cache.member_(name)) if cache.type_.type.has_member(name) else None


def _name(prog: Program, address: int) -> str:
    try:
        return printable(prog.read_c_string(address, max_size=256))
    except FaultError:
        return "?"


def _field(rows: npt.NDArray[np.uint8], type_: Type, name: str) -> U64:
    """A member of many structures at once, bit fields included.

    :param rows: the structures' bytes, shape (n, at least their size)
    """
    member = type_.member(name)
    offset = member.bit_offset // 8 // 8 * 8
    words = np.ascontiguousarray(rows[:, offset : offset + 8]).view(np.uint64).ravel()
    bits = member.bit_field_size
    if bits is None:
        plain = member.type
        while plain.kind == TypeKind.TYPEDEF:
            plain = plain.type
        bits = 8 * sizeof(plain)
    shifted = words >> np.uint64(member.bit_offset % 64)
    return shifted if bits == 64 else shifted & np.uint64((1 << bits) - 1)
