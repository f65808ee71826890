# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small machine of any release: memory that its structures describe, and what is in it.

The kernel's side of each layout is written out here: where Linux of that release puts what. A
section of 128 MiB holds page frames 1 to 15, some in use by known sites; all others are free.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import pairwise

from drgn import Object, Program, Symbol, SymbolBinding, SymbolKind, offsetof, sizeof

from allocdump.kernel.layouts import (
    Barns,
    CompoundPages,
    CpuSlabs,
    Layout,
    ModuleTags,
    PageCharges,
    PageReferences,
    PageTypes,
    SlabExtensions,
)
from allocdump.session import Session
from allocdump.source.core import Core
from allocdump.source.program import Source
from allocdump.source.vmcoreinfo import VmcoreInfo

from ..dumpdata import place
from ..fakekernel import FakeKernel
from .facts import Release
from .types import FactTypes

PAGE = 4096
PAGES = 1 << 15
"""Page frames of the section."""
DIRECT, MEMMAP = 0xFFFF_8880_0000_0000, 0xFFFF_EA00_0000_0000
PERCPU, VMALLOC = 0xFFFF_E8FF_0000_0000, 0xFFFF_C900_0000_0000
IMAGE = 0xFFFF_FFFF_8200_0000
"""Of the kernel's variables."""
CPU_OFFSETS = (0x1000_0000, 0x2000_0000)
RANDOM = 0x1234_5678_9ABC_DEF0
NO_TYPE = 0xFFFF_FFFF
GROUP = "/outer/inner"
"""Path of a memory cgroup."""

SITES = {
    "pages": ("mm/first.c", 10, "get_pages"),
    "slabs": ("mm/slub.c", 20, "alloc_slab_page"),
    "objects": ("mm/second.c", 30, "get_object"),
    "others": ("mm/third.c", 40, "get_another"),
    "vectors": ("mm/slub.c", 50, "alloc_slab_obj_exts"),
    "percpu": ("mm/fourth.c", 60, "get_percpu"),
    "vmalloc": ("mm/fifth.c", 70, "get_area"),
}


MODULES = {"lab": ("lab.c", 80, "keep"), "gone": ("gone.c", 90, "leave")}
"""A module that is loaded, and one that was unloaded while its memory was alive: a site of each."""
HELD = {"lab": (3 * PAGE, 3), "gone": (2 * PAGE, 2)}
"""Bytes and allocations that their counters tell."""
MODULE_DATA = 0xFFFF_FFFF_C000_0000


@dataclass
class Truth:
    """What is in memory, by the names of :data:`SITES`."""

    pages: set[tuple[int, int, str]] = field(default_factory=set)
    """(page frame, pages, site)"""
    objects: set[tuple[int, int, str]] = field(default_factory=set)
    """(address, bytes, site)"""
    untagged: set[int] = field(default_factory=set)
    """Addresses of objects in use that have no reference."""
    charged: dict[str, int] = field(default_factory=dict)
    """Bytes that :data:`GROUP` is charged, by the name of a site."""

    def bytes(self, site: str) -> int:
        pages = sum(pages * PAGE for _, pages, name in self.pages if name == site)
        return pages + sum(size for _, size, name in self.objects if name == site)

    def calls(self, site: str) -> int:
        return sum(name == site for _, _, name in [*self.pages, *self.objects])


class Machine(FakeKernel):
    """The machine; *compressed* puts references of pages into their flags, and with *modules* there
    are :data:`MODULES`."""

    def __init__(
        self, release: Release, *, compressed: bool = False, modules: bool = False
    ) -> None:
        super().__init__()
        self.release, self.truth = release, Truth()
        self.compressed = compressed
        for shadowed in ("alloc_tag_counters", "codetag", "alloc_tag", "codetag_type_desc"):
            del self.types[shadowed]
        self.facts = FactTypes(self.prog, release)
        self.prog.register_type_finder("facts", self.facts.find, enable_index=0)
        constants = self.facts.constants()
        self.objects |= {n: Object(self.prog, self.u64, value) for n, value in constants.items()}
        self._constants: dict[str, int] = constants
        self._symbols: dict[str, tuple[int, int]] = {}
        self.prog.register_symbol_finder("machine", self._find_symbol, enable_index=0)
        self._next = IMAGE
        self.cpus(list(CPU_OFFSETS), 0b11)
        self._types = release.variant(PageTypes)
        self._tags()
        self._cgroups()
        self._memmap()
        self._slabs()
        self._percpu()
        self._vmalloc()
        self._lists()
        self._count()
        if modules:
            self._modules()

    def open(self) -> Session:
        """The machine as an opened dump."""
        values = {
            ("NUMBER", "SECTION_SIZE_BITS"): "27",
            ("LENGTH", "mem_section"): "2048",
            ("LENGTH", "zone.free_area"): "11",
            ("", "OSRELEASE"): f"{self.release.name}.0",
        }
        core = Core(f"Linux {self.release.name}", "elf")
        dump = Session(Source(self.prog, core, "dwarf", VmcoreInfo(values)))
        dump.kernel.direct_map = DIRECT
        return dump

    # What all is made of

    def has(self, variant: Layout) -> bool:
        """Tell if the release has a variant."""
        return self.release.variant(type(variant)) is variant

    def make(self, size: int) -> int:
        """Memory for a variable or a structure of the kernel's, zeroed."""
        address = self._next
        self._next += (size + 63) & ~63
        self.write(address, bytes(size))
        return address

    def put(self, type_: str, address: int, **values: int) -> int:
        """Write members of a structure at an address; ``list__next`` is ``list.next``."""
        of = self.prog.type(type_)
        for path, value in values.items():
            first = of.member(path.split("__")[0])
            if first.bit_field_size is not None:
                place, shift = address + first.bit_offset // 64 * 8, first.bit_offset % 64
                word = int.from_bytes(self.prog.read(place, 8), "little")
                mask = ((1 << first.bit_field_size) - 1) << shift
                word = word & ~mask | value << shift
                self.write(place, word.to_bytes(8, "little"))
                continue
            place = address + offsetof(of, path.replace("__", "."))
            size = min(8, sizeof(first.type)) if "__" not in path else 8
            self.write(place, (value % (1 << 8 * size)).to_bytes(size, "little"))
        return address

    def made(self, type_: str, **values: int) -> int:
        """A new structure."""
        return self.put(type_, self.make(sizeof(self.prog.type(type_))), **values)

    def words(self, address: int, *values: int) -> None:
        self.write(address, struct.pack(f"<{len(values)}Q", *values))

    def text(self, text: str) -> int:
        at = self.make(len(text) + 1)
        self.write(at, text.encode())
        return at

    def list_of(self, head: int, *links: int) -> None:
        """Link a ``struct list_head`` with entries."""
        ring = [head, *links, head]
        for one, following in pairwise(ring):
            self.words(one, following)
            self.words(following + 8, one)

    def variable(self, name: str, type_: str, *words: int) -> int:
        """A variable of the kernel's, found by its symbol, too."""
        made = self.prog.type(type_)
        address = self.make(max(sizeof(made), 8 * len(words)))
        self.words(address, *words)
        self._symbols[name] = address, sizeof(made)
        self.objects[name] = Object(self.prog, made, address=address)
        return address

    def _find_symbol(
        self, prog: Program, name: str | None, address: int | None, one: bool
    ) -> list[Symbol]:
        return [
            Symbol(known, at, size, SymbolBinding.GLOBAL, SymbolKind.OBJECT)
            for known, (at, size) in self._symbols.items()
            if name == known or (name is None and address is not None and at <= address < at + size)
        ]

    # Code tags

    def _tags(self) -> None:
        count, size = len(SITES), sizeof(self.prog.type("struct alloc_tag"))
        start = self.make(count * size)
        self._symbols["__start_alloc_tags"] = start, 0
        self._symbols["__stop_alloc_tags"] = start + count * size, 0
        self.tags = {name: start + i * size for i, name in enumerate(SITES)}
        module = self.text("")
        self._counters = 0x4000
        for i, (name, (file, line, function)) in enumerate(SITES.items()):
            at = self.tags[name]
            self.put("struct codetag", at, lineno=line, modname=module)
            names = {"filename": self.text(file), "function": self.text(function)}
            self.put("struct codetag", at, **names)
            self.put("struct alloc_tag", at, counters=self._counters + 16 * i)
        for offset in CPU_OFFSETS:
            self.write(self._counters + offset, bytes(16 * count))
        registered = self.made("struct codetag_module")
        range_ = {"range__start": start, "range__stop": start + count * size}
        self.put("struct codetag_module", registered, **range_)
        tag_type = self.made("struct codetag_type", count=count)
        self.put("struct codetag_type", tag_type, mod_idr__idr_rt__xa_head=registered)
        desc = {"desc__section": self.text("alloc_tags"), "desc__tag_size": size}
        self.put("struct codetag_type", tag_type, **desc)
        self.variable("alloc_tag_cttype", "struct codetag_type *", tag_type)
        self.list_of(self.variable("codetag_types", "struct list_head"), tag_type)
        self.variable("mem_alloc_profiling_key", "struct static_key_true", 1)
        self.list_of(self.variable("modules", "struct list_head"))
        if self.has(ModuleTags.AREA):
            self.variable("module_tags", "struct alloc_tag_module_section")
            self.variable("mem_profiling_compressed", "struct static_key_false", self.compressed)
            self.variable("kernel_tags", "struct alloc_tag_kernel_section", start, count)
            self.variable("alloc_tag_ref_mask", "unsigned long", (1 << 16) - 1)
            self.variable("alloc_tag_ref_offs", "int", 26)
        if self.has(SlabExtensions.WORDS):
            self.variable("slab_obj_ext_has_codetag_key", "struct static_key_false", 1)

    def _count(self) -> None:
        """Counters of two CPUs, of which one is below zero."""
        for i, name in enumerate(SITES):
            for cpu, (size, calls) in enumerate(
                [(self.truth.bytes(name) + PAGE, self.truth.calls(name) + 1), (-PAGE, -1)]
            ):
                at = self._counters + 16 * i + CPU_OFFSETS[cpu]
                self.words(at, size % (1 << 64), calls % (1 << 64))

    # Modules

    def _modules(self) -> None:
        """Tags of both modules in one area, or of each in its own data."""
        size, area = sizeof(self.prog.type("struct alloc_tag")), self.has(ModuleTags.AREA)
        step = size if area else PAGE
        places = {name: MODULE_DATA + i * step for i, name in enumerate(MODULES)}
        for i, (name, (file, line, function)) in enumerate(MODULES.items()):
            at, counters = places[name], 0x9000 + 16 * i
            # An area's tags point at names that were freed with their module.
            gone = area and name == "gone"
            names = [1 << 63] * 3 if gone else [self.text(text) for text in (name, file, function)]
            keys = ("modname", "filename", "function")
            self.put("struct codetag", at, lineno=line, **dict(zip(keys, names, strict=True)))
            self.put("struct alloc_tag", at, counters=counters)
            for cpu, values in zip(CPU_OFFSETS, (HELD[name], (0, 0)), strict=True):
                self.words(counters + cpu, *values)
        module = self.made("struct module")
        self.write(module + offsetof(self.prog.type("struct module"), "name"), b"lab\0")
        link = module + offsetof(self.prog.type("struct module"), "list")
        self.list_of(place(self.objects["modules"]), link)
        start = places["lab"]
        self._register(module, start, start + size)
        if area:
            self._area(module, size)
            return
        memory = module + offsetof(self.prog.type("struct module"), "mem")
        self.put("struct module_memory", memory, base=start, size=PAGE)
        tree = self.variable("mod_tree", "struct mod_tree_root")
        end = MODULE_DATA + len(places) * PAGE
        self.put("struct mod_tree_root", tree, addr_min=MODULE_DATA, addr_max=end)

    def _register(self, module: int, start: int, stop: int) -> None:
        """Add a range to those of the kernel: the root of the IDR becomes a node."""
        kind = self.objects["alloc_tag_cttype"]
        added = self.made("struct codetag_module", mod=module, range__start=start, range__stop=stop)
        node = self.made("struct xa_node")
        slots = offsetof(self.prog.type("struct xa_node"), "slots")
        self.words(node + slots, kind.mod_idr.idr_rt.xa_head.value_(), added)
        self.put("struct codetag_type", kind.value_(), mod_idr__idr_rt__xa_head=node | 2)
        self.put("struct codetag_type", kind.value_(), count=len(SITES) + 1)

    def _area(self, module: int, size: int) -> None:
        """The area of module tags, and the tree of what it is handed out to."""
        area = place(self.objects["module_tags"])
        end = MODULE_DATA + PAGE
        self.put(
            "struct alloc_tag_module_section", area, start_addr=MODULE_DATA, end_addr=end, size=PAGE
        )
        unloaded = self.variable("unloaded_mod", "unsigned long")
        while self._next % 256:
            self._next += 64
        node = self.made("struct maple_node")
        leaf = self.prog.type("struct maple_range_64")
        self.words(node + offsetof(leaf, "pivot"), size - 1, 2 * size - 1)
        self.words(node + offsetof(leaf, "slot"), module, unloaded)
        self.write(node + offsetof(leaf, "meta.end"), bytes([2]))
        tree = self.variable("mod_area_mt", "struct maple_tree")
        self.put("struct maple_tree", tree, ma_root=node | 1 << 3 | 2)

    # Memory cgroups

    def _cgroups(self) -> None:
        """The root and :data:`GROUP`, which memory refers to through an object of its own."""
        subsystem = self.variable("memory_cgrp_subsys", "unsigned long")
        type_ = self.prog.type("struct kernfs_node")
        parent = offsetof(type_, "__parent" if type_.has_member("__parent") else "parent")
        above, groups = 0, []
        for name in GROUP.split("/"):
            node = self.made("struct kernfs_node", name=self.text(name))
            self.words(node + parent, above)
            above = node
            cgroup = self.made("struct cgroup", kn=node)
            memcg = self.made("struct mem_cgroup", css__cgroup=cgroup, css__ss=subsystem)
            online = self._constants["CSS_ONLINE"]
            self.put("struct cgroup_subsys_state", memcg, flags=online)
            groups.append(memcg)
        self.variable("root_mem_cgroup", "struct mem_cgroup *", groups[0])
        self._memcg = groups[-1]
        self._objcg = self.made("struct obj_cgroup", memcg=groups[-1])

    def charge(self, site: str, size: int) -> int:
        """The object of the memory cgroup that is charged these bytes."""
        self.truth.charged[site] = self.truth.charged.get(site, 0) + size
        return self._objcg

    def charge_page(self, pfn: int, site: str, *, to_user: bool = False) -> None:
        """Charge a page: those of users refer to the cgroup itself where they can."""
        data = self.charge(site, PAGE) | 2 * (not to_user)  # MEMCG_DATA_KMEM
        if to_user and not self.has(PageCharges.OBJCG):
            data = self._memcg
        self.put("struct page", self.struct_page(pfn), memcg_data=data)

    # Page frames

    def _memmap(self) -> None:
        self.memmap_bytes = int(sizeof(self.prog.type("struct page")))
        self.write(MEMMAP, bytes(1024 * self.memmap_bytes))
        self._extensions = self.make(1024 * 16)
        section = self.made(
            "struct mem_section",
            # SECTION_MARKED_PRESENT, SECTION_HAS_MEM_MAP, SECTION_IS_ONLINE
            section_mem_map=MEMMAP | 7,
            page_ext=0 if self.compressed else self._extensions,
        )
        size = sizeof(self.prog.type("struct mem_section"))
        table = self.make(PAGE)
        self.write(table, self.prog.read(section, size))
        self.variable("mem_section", "struct mem_section **", self.make(8 * 2048))
        self.words(self.objects["mem_section"].value_(), table)
        self.variable("page_ext_size", "unsigned long", 0 if self.compressed else 16)
        operations = self.variable("page_alloc_tagging_ops", "struct page_ext_operations")
        self.put("struct page_ext_operations", operations, offset=8, size=8)
        for pfn in range(16):
            self.page(pfn, flags=self.bit("PG_reserved"))
        for order in range(4, 10):
            self.page(1 << order, type_="buddy", private=order, count=0)
        for pfn in range(1024, PAGES, 1024):
            self.write(MEMMAP + pfn * self.memmap_bytes, bytes(self.memmap_bytes))
            self.page(pfn, type_="buddy", private=10, count=0)
        self.page(1, site="pages")
        self.page(4, site="pages", flags=self.bit("PG_head"), pages=4)
        for pfn in range(5, 8):
            self.page(pfn, flags=2 if pfn == 5 else 0, count=0)
            info = "compound_info" if self.has(CompoundPages.INFO) else "compound_head"
            self.put("struct page", self.struct_page(pfn), **{info: self.struct_page(4) + 1})
        self.page(9, site="vectors")
        self.page(10, site="vmalloc")
        self.page(11, count=0)
        self.page(12, type_="table")
        self.charge_page(1, "pages")
        self.charge_page(10, "vmalloc", to_user=True)
        if "PGTY_large_kmalloc" in self._constants:
            self.page(13, site="pages", type_="large_kmalloc")

    def bit(self, flag: str) -> int:
        return 1 << int(self._constants[flag])

    def struct_page(self, pfn: int) -> int:
        """Address of the struct page of a page frame."""
        return MEMMAP + pfn * self.memmap_bytes

    def page(
        self,
        pfn: int,
        *,
        site: str = "",
        flags: int = 0,
        type_: str = "",
        private: int = 0,
        count: int = 1,
        pages: int = 1,
    ) -> None:
        """Write a struct page, and its reference."""
        place = self.struct_page(pfn)
        if site:
            self.truth.pages.add((pfn, pages, site))
            tag = self.tags[site]
            if self.compressed:
                # CODETAG_ID_FIRST
                flags |= 2 + list(SITES).index(site) << 26
            else:
                self.words(self._extensions + 16 * pfn + 8, tag)
        self.words(place + offsetof(self.prog.type("struct page"), "flags"), flags)
        value = self.page_type(type_)
        self.put("struct page", place, page_type=value, private=private, _refcount=count)

    def page_type(self, name: str) -> int:
        if not name:
            return NO_TYPE
        if self._types is PageTypes.TOP_BYTE:
            return int(self._constants[f"PGTY_{name}"]) << 24
        return NO_TYPE & ~self._constants[f"PG_{name}"]

    # Slabs

    def _slabs(self) -> None:
        """Three caches: with vectors elsewhere, in the space that is left over, in the objects."""
        self.caches = self.variable("slab_caches", "struct list_head")
        plain = self.cache("plain", 512, 512)
        roomy = self.cache("roomy", 480, 480)
        inner = self.cache("inner", 512, 480)
        link = offsetof(self.prog.type("struct kmem_cache"), "list")
        self.list_of(self.caches, *(cache + link for cache in (plain, roomy, inner)))
        self._vectors = DIRECT + 9 * PAGE
        self.write(self._vectors, bytes(PAGE))
        inside = self.has(SlabExtensions.STRIDE) or self.has(SlabExtensions.WORDS)
        self.slab(2, plain, 512)
        self.slab(3, roomy, 480, vector=8 * 480 if inside else 0)
        self.slab(8, inner, 512, vector=480 if inside else 0, stride=512 if inside else 0)
        self._without_vector(14, plain)

    def cache(self, name: str, size: int, object_size: int) -> int:
        address = self.made(
            "struct kmem_cache",
            size=size,
            object_size=object_size,
            offset=size // 2 // 8 * 8,
            inuse=object_size,
            refcount=1,
            random=RANDOM,
            name=self.text(name),
        )
        percpu = 0x8000 + 0x100 * (address // 64 % 16)
        for offset in CPU_OFFSETS:
            self.write(percpu + offset, bytes(0x100))
        if not self.has(CpuSlabs.SHEAVES):
            self.put("struct kmem_cache", address, cpu_slab=percpu)
        if not self.has(CpuSlabs.LISTS):
            self.put("struct kmem_cache", address, cpu_sheaves=percpu + 0x80, sheaf_capacity=4)
        return address

    def slab(self, pfn: int, cache: int, size: int, *, vector: int = 0, stride: int = 0) -> None:
        """Eight objects: two with references, one that a CPU keeps, five free.

        :param vector: offset of the extensions in the slab; in a page of their own by default
        :param stride: bytes from one extension to the next one; that of a vector by default
        """
        base = DIRECT + pfn * PAGE
        self.write(base, bytes(PAGE))
        self._page_of_slab(pfn)
        page = self.struct_page(pfn)
        sites = {0: "objects", 1: "others"}
        of = self._extensions_of(pfn, base + vector if vector else 0, stride, sites)
        for i, site in sites.items():
            self.truth.objects.add((base + i * size, size, site))
        free = [base + i * size for i in range(3, 8)]
        self._chain(cache, free)
        self.put(
            "struct slab", page, slab_cache=cache, inuse=3, objects=8, freelist=free[0], obj_exts=of
        )
        self._keep(cache, base + 2 * size, page)

    def _page_of_slab(self, pfn: int) -> None:
        self.page(pfn, site="slabs", type_="slab")

    def _extensions_of(self, pfn: int, vector: int, stride: int, sites: dict[int, str]) -> int:
        """Write the extensions of a slab's objects; what ``obj_exts`` says of them."""
        page = self.struct_page(pfn)
        size = sizeof(self.prog.type("struct slabobj_ext"))
        inside = stride != 0
        if not vector:
            vector, self._vectors = self._vectors, self._vectors + 128
        reference, owner = 0, 0
        if self.has(SlabExtensions.WORDS):
            # Those outside of objects have a word for a memory cgroup before the reference.
            charged = not inside
            self.put("struct slab", page, obj_exts_in_object=inside, obj_exts_needs_objcg=charged)
            reference, stride = 8 * charged, stride or 8 + 8 * charged
        else:
            owner = offsetof(self.prog.type("struct slabobj_ext"), "objcg")
            reference = offsetof(self.prog.type("struct slabobj_ext"), "ref")
            stride = stride or size
            if self.has(SlabExtensions.STRIDE):
                self.put("struct slab", page, stride=stride)
        for i, site in sites.items():
            self.words(vector + i * stride + reference, self.tags[site])
        if pfn == 2:
            self.words(vector + owner, self.charge(sites[0], 512))
        return vector | 1  # MEMCG_DATA_OBJEXTS

    def _without_vector(self, pfn: int, cache: int) -> None:
        """A slab whose vector could not be allocated: all eight objects are in use."""
        self._page_of_slab(pfn)
        base = DIRECT + pfn * PAGE
        self.write(base, bytes(PAGE))
        self.truth.untagged.update(base + i * 512 for i in range(8))
        failed = self._constants["OBJEXTS_ALLOC_FAIL"]
        self.put(
            "struct slab", self.struct_page(pfn), slab_cache=cache, inuse=8, objects=8, freelist=0,
            obj_exts=failed,
        )  # fmt: skip

    def _chain(self, cache: int, free: list[int]) -> None:
        """A free list, as CONFIG_SLAB_FREELIST_HARDENED mixes it."""
        offset = Object(self.prog, "struct kmem_cache *", cache).offset.value_()
        for one, following in zip(free, [*free[1:], 0], strict=True):
            place = one + offset
            swapped = int.from_bytes(place.to_bytes(8, "little"), "big")
            self.words(place, following ^ RANDOM ^ swapped)

    def _keep(self, cache: int, free: int, page: int) -> None:
        """A CPU keeps a free object, which its slab counts as in use."""
        owner = Object(self.prog, "struct kmem_cache *", cache)
        if self.has(CpuSlabs.LISTS):
            self._chain(cache, [free])
            own = owner.cpu_slab.value_() + CPU_OFFSETS[0]
            self.put("struct kmem_cache_cpu", own, freelist=free, slab=page)
            return
        sheaf = self.make(64)
        self.put("struct slab_sheaf", sheaf, size=1, cache=cache)
        self.words(sheaf + offsetof(self.prog.type("struct slab_sheaf"), "objects"), free)
        barn = self.made("struct node_barn")
        for member in ("sheaves_full", "sheaves_empty"):
            self.list_of(barn + offsetof(self.prog.type("struct node_barn"), member))
        per_node = self.has(Barns.PER_NODE)
        if per_node:
            self.words(place(owner.per_node[0].barn), barn)
        else:
            node = self.made("struct kmem_cache_node", barn=barn)
            self.words(place(owner.node[0]), node)
        if page == self.struct_page(2):
            full = barn + offsetof(self.prog.type("struct node_barn"), "sheaves_full")
            self.list_of(full, sheaf)
        else:
            own = owner.cpu_sheaves.value_() + CPU_OFFSETS[1]
            self.put("struct slub_percpu_sheaves", own, main=sheaf)

    # Per-CPU memory, vmalloc space, zones

    def _percpu(self) -> None:
        """A chunk of one page: an object of 16 bytes, one of 32, the rest is free."""
        bits = PAGE // 4
        bound, allocated = (self.make(bits // 8 + 8) for _ in range(2))
        sizes = [(16, "percpu"), (32, "percpu"), (PAGE - 48, "")]
        marks = used = at = 0
        vector = self.make(bits * sizeof(self.prog.type("struct pcpuobj_ext")))
        for size, site in sizes:
            marks |= 1 << at // 4
            if site:
                used |= (1 << size // 4) - 1 << at // 4
                ext = vector + at // 4 * sizeof(self.prog.type("struct pcpuobj_ext"))
                owner = self.charge(site, size) if size == 32 else 0
                self.put("struct pcpuobj_ext", ext, tag=self.tags[site], cgroup=owner)
                self.truth.objects.add((0x10000 + at, size, site))
            at += size
        self.write(bound, (marks | 1 << bits).to_bytes(bits // 8 + 8, "little"))
        self.write(allocated, used.to_bytes(bits // 8 + 8, "little"))
        self._symbols["__per_cpu_start"] = 0, 0
        self.variable("pcpu_base_addr", "void *", PERCPU)
        chunk = self.make(sizeof(self.prog.type("struct pcpu_chunk")) + 8)
        self.put(
            "struct pcpu_chunk", chunk, bound_map=bound, alloc_map=allocated, nr_pages=1,
            base_addr=PERCPU + 0x10000, obj_exts=vector,
        )  # fmt: skip
        self.words(chunk + offsetof(self.prog.type("struct pcpu_chunk"), "populated"), 1)
        slots = self.make(16)
        self.list_of(slots, chunk + offsetof(self.prog.type("struct pcpu_chunk"), "list"))
        self.variable("pcpu_chunk_lists", "struct list_head *", slots)
        self.variable("pcpu_nr_slots", "int", 1)
        self.variable("pcpu_reserved_chunk", "struct pcpu_chunk *", 0)

    def _vmalloc(self) -> None:
        """An area of one page."""
        pages = self.make(8)
        self.words(pages, self.struct_page(10))
        vm = self.made(
            "struct vm_struct", addr=VMALLOC, size=2 * PAGE, flags=2, pages=pages, nr_pages=1
        )
        area = self.made("struct vmap_area", va_start=VMALLOC, va_end=VMALLOC + 2 * PAGE, vm=vm)
        node = self.made("struct vmap_node")
        type_ = self.prog.type("struct vmap_node")
        head = node + offsetof(type_, "busy.head")
        self.list_of(head, area + offsetof(self.prog.type("struct vmap_area"), "list"))
        root = offsetof(type_, "busy.root.rb_node")
        self.words(node + root, area + offsetof(self.prog.type("struct vmap_area"), "rb_node"))
        self.variable("vmap_nodes", "struct vmap_node *", node)
        self.variable("nr_vmap_nodes", "int", 1)
        self.variable("vmap_zone_size", "unsigned int", 16 * PAGE)

    def _lists(self) -> None:
        """A zone, and a free page on a CPU's list."""
        node_type = self.prog.type("struct pglist_data")
        node = self.make(sizeof(node_type))
        zone = node + offsetof(node_type, "node_zones")
        percpu = 0xC000
        self.put(
            "struct zone", zone, zone_pgdat=node, spanned_pages=PAGES, present_pages=PAGES,
            name=self.text("Normal"), per_cpu_pageset=percpu,
        )  # fmt: skip
        lists = self.prog.type("struct per_cpu_pages").member("lists")
        for offset in CPU_OFFSETS:
            own = percpu + offset
            self.write(own, bytes(0x400))
            for i in range(lists.type.length or 0):
                self.list_of(own + lists.offset + 16 * i)
        lru = self.struct_page(11) + offsetof(self.prog.type("struct page"), "lru")
        self.put("struct per_cpu_pages", percpu + CPU_OFFSETS[0], count=1)
        self.list_of(percpu + CPU_OFFSETS[0] + lists.offset, lru)
        self.variable("node_data", "struct pglist_data *[1]", node)
        self.struct("nodemask", bits=self.prog.array_type(self.u64, 1))
        self.types["nodemask_t"] = self.prog.typedef_type("nodemask_t", self.types["nodemask"])
        states = [1] * (self._constants["N_ONLINE"] + 1)
        self.variable("node_states", f"nodemask_t [{len(states)}]", *states)


def references(release: Release) -> list[bool]:
    """Whether references of pages are compressed: all that the release can do."""
    compressed = release.variant(PageReferences) is PageReferences.PAGE_FLAGS
    return [False, True] if compressed else [False]
