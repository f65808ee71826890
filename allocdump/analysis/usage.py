# SPDX-License-Identifier: LGPL-2.1-or-later
"""All memory as a tree whose leaves add up to every page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ..arch.base import PageSize
from ..arrays import Int, Values
from ..kernel.machine.memory_counters import MemoryCounters
from ..kernel.mm.boot_memory import KFENCE, SYSTEM_RAM
from ..kernel.mm.page_types import PageKind
from ..kernel.mm.page_uses import PageUse
from ..kernel.tags.cost import ProfilerCost
from ..kernel.tags.roles import PERCPU_VECTOR_SITE, Role
from ..kernel.tags.sites import Sites
from ..result import Result
from .attribution import HUGE_FREE, HUGE_USED, UNMARKED_LARGE, Attribution

_WITHOUT_LARGE = (
    "; its counter without large kmalloc()s, which this kernel counts but does not mark"
)


@dataclass
class Node(Result):
    """A class of memory."""

    name: str
    bytes: int = 0
    children: list[Node] = field(default_factory=list)
    counter: int | None = None
    """The kernel's own counter in bytes; None where it has none."""
    note: str = ""

    def add(self, *nodes: Node) -> Node:
        """Add those of *nodes* that hold memory, or should; returns self.

        A node with children has the sum of their sizes.
        """
        self.children += [node for node in nodes if node.bytes or node.counter]
        self.children.sort(key=lambda child: -child.bytes)
        self.bytes = sum(child.bytes for child in self.children)
        return self

    def walk(self, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
        """This node and all below it, each with the names that lead to it."""
        path = (*above, self.name)
        yield path, self
        for child in self.children:
            yield from child.walk(path)

    def to_dict(self) -> dict[str, Values]:
        """The tree as columns, a row for each node, parents first.

        ``path`` has the names from the root on, ``level`` 0 at the root, ``bytes``, and
        ``counter``, -1 where the kernel has none.
        """
        nodes = list(self.walk())
        counters = [-1 if node.counter is None else node.counter for _, node in nodes]
        return {
            "path": np.array([" > ".join(path) for path, _ in nodes], np.object_),
            "level": np.array([len(path) - 1 for path, _ in nodes], np.int64),
            "name": np.array([node.name for _, node in nodes], np.object_),
            "bytes": np.array([node.bytes for _, node in nodes], np.int64),
            "counter": np.array(counters, np.int64),
        }

    def in_short(self) -> str:
        parts = f", in {len(self.children):,} parts" if self.children else ""
        return f"{self.name}, {self.bytes:,} bytes{parts}"


def usage(
    origins: Sites, memory: Attribution, counters: MemoryCounters, cost: ProfilerCost
) -> Node:
    """Account for every page."""
    return _Usage(origins, memory, counters, cost, Untold.of(memory, counters, cost)).tree()


def divided(
    origins: Sites,
    memory: Attribution,
    parts: Iterable[tuple[str, Attribution]],
    counters: MemoryCounters,
    cost: ProfilerCost,
) -> Node:
    """The same account for each part of all memory, largest first; none of its leaves has a
    counter.

    :param memory: all of it
    :param parts: names and memory of the parts
    """
    untold, none = Untold.of(memory, counters, cost), MemoryCounters()
    root = Node("memory", counter=_bytes(counters.present, memory.page))
    for name, part in parts:
        node = _Usage(origins, part, none, cost, untold).tree()
        root.add(Node(name, node.bytes, node.children))
    return root


@dataclass
class Untold:
    """Bytes of which only the sum is known, not the places: whoever has room takes them."""

    vectors: int
    """Extension vectors of per-CPU chunks."""
    tags: int
    """Code tags of the kernel's own sites."""
    counters: int
    """Counters of these."""
    holes: int
    """Holes in memory, where its map is unreadable."""

    @classmethod
    def of(cls, memory: Attribution, counters: MemoryCounters, cost: ProfilerCost) -> Untold:
        """Those of all memory."""
        holes = 0
        if not memory.map_known and counters.present is not None:
            # Without the map, holes look like memory that boot kept: the zones know their number.
            holes = max(0, int(memory.kinds.sum()) - counters.present) * memory.page.bytes
        return cls(memory.percpu_vectors, cost.tags, cost.counters, holes)

    def take(self, what: str, room: int) -> int:
        """As much of it as there is room for."""
        taken = max(0, min(room, int(getattr(self, what))))
        setattr(self, what, getattr(self, what) - taken)
        return taken


def _bytes(pages: int | None, page: PageSize) -> int | None:
    return None if pages is None else pages * page.bytes


class _Usage:
    def __init__(
        self,
        origins: Sites,
        memory: Attribution,
        counters: MemoryCounters,
        cost: ProfilerCost,
        untold: Untold,
    ) -> None:
        self.memory, self.counters, self.cost, self.untold = memory, counters, cost, untold
        self.page = memory.page.bytes
        self.count = len(origins)
        self.sites = origins.tagged
        """Number of call sites, whose rows come first."""
        self.label = origins.label
        self.roles = origins.role
        self.percpu_vectors = (origins.function == PERCPU_VECTOR_SITE) & (origins.module == "")
        self.vmalloc_pages = memory.vmalloc[: self.count]
        self.plain = memory.kinds[PageKind.IN_USE] - memory.special
        """Pages in use whose struct pages tell nothing: shape (sites + 3,)."""
        self._profiler_pages = self._pages_of_profiler()
        self._vectors = self._pages_of_vectors()
        self._early_page_ext = self._page_ext_without_site()

    def _pages_of_profiler(self) -> Int:
        """Bytes of pages by site that are references and code tags."""
        pages = self.plain[: self.count]
        # Of each page alike, so that parts of memory add up.
        share = int(self.page * self.cost.page_ext_share)
        tags = np.where(self.roles == Role.TAGS, pages * self.page, 0)
        return np.where(self.roles == Role.PAGE_EXT, pages * share, tags)

    def _pages_of_vectors(self) -> Int:
        """Bytes of pages by site that are vectors of per-CPU chunks.

        They are among the first things that their site allocates.
        """
        by_site = self.plain[: self.count] * self.page
        vectors = np.zeros(self.count, np.int64)
        for i in np.flatnonzero(self.percpu_vectors).tolist():
            vectors[i] = self.untold.take("vectors", int(by_site[i]))
        return vectors

    def _page_ext_without_site(self) -> int:
        """The first page extensions were allocated before there were any to say so."""
        whole = int(self.memory.page_ext * self.cost.page_ext_share)
        known = self._profiler_pages[self.roles == Role.PAGE_EXT].sum()
        return min(max(0, whole - int(known)), self._without_use())

    def _without_use(self) -> int:
        """Bytes of pages that neither a site nor any other origin tells the use of."""
        row = self.plain
        untold = row[self.sites : self.count] * self.page
        untold = untold[(self.roles == Role.NONE)[self.sites :]].sum()
        mapped = self.vmalloc_pages[self.sites :] * self.page
        known = np.minimum(row[self.sites : self.count] * self.page, mapped)
        known = known[(self.roles == Role.NONE)[self.sites :]].sum()
        return int(row[-1]) * self.page + int(untold - known)

    def tree(self) -> Node:
        in_use, other = self._in_use()
        slab, slab_profiler = self._slab()
        boot, boot_profiler = self._boot()
        k = self.counters
        root = Node("memory", counter=self._of(k.present))
        root.add(
            Node("free", counter=None).add(
                self._buddy(),
                Node("per-CPU lists", self._pages(PageKind.FREE_PCP), counter=self._of(k.pcp)),
            ),
            boot,
            self._anonymous(),
            self._page_cache(),
            self._kind("shared memory and tmpfs", PageKind.SHMEM, k.shmem),
            slab,
            self._kind("large kmalloc", PageKind.LARGE_KMALLOC, None),
            self._kind("page tables", PageKind.PAGE_TABLE, k.page_tables),
            self._huge(),
            self._use("compressed memory (zram, zswap)", PageUse.ZSPAGE, k.zspages),
            self._secondary_tables(),
            self._gpu(),
            self._rings(),
            self._kind("offline (balloon)", PageKind.OFFLINE, k.balloon),
            self._kind("poisoned (hardware errors)", PageKind.POISONED, k.poisoned),
            *in_use,
            *other,
            Node("struct page not in the dump", self._pages(PageKind.UNREADABLE)),
            Node("allocation profiler", note="code tags, counters, references").add(
                *self._profiler(), *slab_profiler, *boot_profiler
            ),
        )
        return root

    def _of(self, pages: int | None) -> int | None:
        return _bytes(pages, self.memory.page)

    def _pages(self, kind: PageKind) -> int:
        return int(self.memory.kinds[kind].sum()) * self.page

    def _kind(self, name: str, kind: PageKind, counter: int | None, less: Int | int = 0) -> Node:
        """All pages of a kind, by site; pages without a site are one leaf.

        :param less: pages to be left out, by column
        """
        row = self.memory.kinds[kind] - less
        node = Node(name, counter=self._of(counter))
        node.add(*self._leaves(row[: self.sites] * self.page))
        node.add(Node("(no site)", int(row[self.sites :].sum()) * self.page))
        return node

    def _use(self, name: str, use: int, counter: int | None) -> Node:
        """All pages of a use, by site."""
        return self._rows(name, self.memory.uses[use], counter)

    def _rows(self, name: str, pages: Int, counter: int | None) -> Node:
        """Pages by column, as leaves; pages without a site are one leaf."""
        node = Node(name, counter=self._of(counter))
        node.add(*self._leaves(pages[: self.sites] * self.page))
        return node.add(Node("(no site)", int(pages[self.sites :].sum()) * self.page))

    def _part(self, name: str, use: PageUse, counter: int | None = None) -> Node:
        """All pages of a use as one leaf."""
        return Node(name, int(self.memory.uses[use].sum()) * self.page, counter=self._of(counter))

    def _anonymous(self) -> Node:
        """The kernel counts those pages that tasks map."""
        uses, counters = self.memory.uses, self.counters
        apart = uses[PageUse.UNMAPPED] + uses[PageUse.KSM]
        node = self._kind("anonymous memory", PageKind.ANONYMOUS, counters.anonymous, less=apart)
        return node.add(
            self._part("(mapped by no task)", PageUse.UNMAPPED),
            self._part("(merged by KSM)", PageUse.KSM, counters.ksm),
        )

    def _page_cache(self) -> Node:
        guest = self.memory.uses[PageUse.GUEST]
        node = self._kind("page cache", PageKind.CACHE, self.counters.file, less=guest)
        return node.add(self._part("(guest_memfd)", PageUse.GUEST))

    def _secondary_tables(self) -> Node:
        """Page tables of virtual machines, and those of devices, which only a site tells."""
        pages = self.memory.uses[PageUse.SECONDARY_TABLE].copy()
        of_devices = np.flatnonzero(self.roles == Role.DEVICE_TABLE)
        pages[of_devices] += self.plain[of_devices]
        return self._rows("secondary page tables", pages, self.counters.secondary_tables)

    def _gpu(self) -> Node:
        """Pages of graphics drivers, which only a site tells."""
        pages = np.zeros_like(self.plain)
        of_gpu = np.flatnonzero(self.roles == Role.GPU)
        pages[of_gpu] = self.plain[of_gpu]
        return self._rows("graphics drivers (TTM)", pages, self.counters.gpu)

    def _rings(self) -> Node:
        """Pages of network devices' page pools, by device."""
        node = Node("network rings (page_pool)")
        devices: dict[str, Node] = {}
        for i, pool in enumerate(self.memory.pools):
            device = devices.setdefault(pool.device, Node(pool.device or "(no device)"))
            device.bytes += int(self.memory.uses[PageUse.RING + i].sum()) * self.page
            if self.counters.present is not None:
                device.counter = (device.counter or 0) + pool.pages * self.page
        node.add(*devices.values())
        counters = [device.counter for device in devices.values() if device.counter is not None]
        node.counter = sum(counters) if counters else None
        return node

    def _buddy(self) -> Node:
        """Free pages; those that not everybody may have by themselves."""
        counters = self.counters
        node = Node("buddy allocator", self._pages(PageKind.FREE), counter=self._of(counters.free))
        cma = self._part("of CMA areas", PageUse.CMA_FREE, counters.free_cma)
        if cma.counter is not None and counters.all_cma:
            cma.note = f"of {counters.all_cma * self.page >> 10:,} KiB in all"
        away = self._part("not accepted yet", PageUse.UNACCEPTED, counters.unaccepted)
        rest = Node("of all others", node.bytes - cma.bytes - away.bytes)
        if cma.bytes or cma.counter or away.bytes or away.counter:
            node.add(cma, away, rest)
        return node

    def _huge(self) -> Node:
        """Huge pages by size: those that somebody has, and those that wait in their pool."""
        uses, pools = self.memory.huge, {pool.order: pool for pool in self.counters.huge}
        node = Node("huge pages (hugetlb)")
        for order in range(HUGE_FREE - HUGE_USED):
            used, free = (int(uses[kind + order]) * self.page for kind in (HUGE_USED, HUGE_FREE))
            pool = pools.get(order)
            size = self.page << order
            of_size = Node(f"hugepages-{size >> 10}kB")
            waiting = Node("free", free)
            if pool:
                of_size.counter, waiting.counter = pool.total * size, pool.free * size
                waiting.note = f"{pool.reserved:,} reserved" if pool.reserved else ""
                of_size.note = f"{pool.surplus:,} surplus" if pool.surplus else ""
            node.add(of_size.add(Node("in use", used), waiting))
        if pools:
            node.counter = sum(pool.total * (self.page << pool.order) for pool in pools.values())
        return node

    def _leaves(self, sizes: Int) -> list[Node]:
        return [Node(self.label(i), int(sizes[i])) for i in np.flatnonzero(sizes).tolist()]

    def _in_use(self) -> tuple[list[Node], list[Node]]:
        """Pages in use whose struct pages tell nothing: their sites tell."""
        row = self.plain
        by_site = row[: self.count] * self.page
        rest = by_site.copy()
        nodes = []
        stacks = np.where(self.roles == Role.STACK, by_site, 0)
        idle = self.memory.uses[PageUse.IDLE_AREA][: self.count]
        idle = np.minimum(idle * self.page, stacks)
        percpu = np.where(self.roles == Role.PERCPU, by_site, 0)
        rest -= stacks + percpu
        rest -= np.where(np.isin(self.roles, (Role.DEVICE_TABLE, Role.GPU)), by_site, 0)
        for i, size in self.memory.moved.percpu.items():
            percpu[i] += size
        nodes.append(
            Node("kernel stacks", counter=self._of(self.counters.stacks)).add(
                *self._leaves(stacks - idle), Node("(of no task)", int(idle.sum()))
            )
        )
        nodes.append(Node("per-CPU memory").add(*self._leaves(percpu)))
        rest -= self._profiler_pages
        vectors = self._vectors
        in_vmalloc = np.minimum(rest, np.maximum(self.vmalloc_pages * self.page - vectors, 0))
        rest -= vectors
        in_vmalloc = np.minimum(in_vmalloc, rest)
        rest -= in_vmalloc
        nodes.append(
            Node("vmalloc", counter=self._vmalloc_counter()).add(*self._leaves(in_vmalloc))
        )
        nodes.append(Node("other pages with a site").add(*self._leaves(rest[: self.sites])))
        stray, empty, none = (int(n) * self.page for n in row[self.count :].tolist())
        none += int(rest[self.sites :].sum()) - self._early_page_ext
        return nodes, [
            Node("other pages, deliberately not counted (CODETAG_EMPTY)", empty),
            Node("other pages that refer to no known tag", stray),
            Node(
                "other pages without a site",
                none,
                note=self._why_without(),
            ),
        ]

    def _why_without(self) -> str:
        if not self.sites:
            return ""
        if self.cost.deferred:
            return (
                "allocated before page_ext was there (deferred struct pages delay it, unless"
                " booted with early_page_ext), or while profiling was off"
            )
        return "allocated before profiling was ready, or while it was off"

    def _vmalloc_counter(self) -> int | None:
        """The kernel counts stacks and vectors of per-CPU chunks with vmalloc."""
        if self.counters.vmalloc is None:
            return None
        hidden = np.where(self.roles == Role.STACK, self.vmalloc_pages, 0).sum()
        hidden += self._profiler_pages[self.roles == Role.TAGS].sum() // self.page
        in_vmalloc = self.percpu_vectors & (self.vmalloc_pages > 0)
        if in_vmalloc.any():
            hidden += self._vectors.sum() // self.page
        return (self.counters.vmalloc - int(hidden)) * self.page

    def _profiler(self) -> list[Node]:
        page_ext = np.where(self.roles == Role.PAGE_EXT, self._profiler_pages, 0).sum()
        tags = np.where(self.roles == Role.TAGS, self._profiler_pages, 0).sum()
        return [
            Node("page extensions", int(page_ext) + self._early_page_ext),
            Node("per-CPU extension vectors", int(self._vectors.sum())),
            Node("code tags of modules", int(tags)),
        ]

    def _slab(self) -> tuple[Node, list[Node]]:
        m, use = self.memory, self.memory.slab
        total = self._pages(PageKind.SLAB)
        size = np.array([c.size for c in m.caches], np.int64)
        by_site = m.objects.bytes[: self.sites]
        vectors = np.where(self.roles[: self.sites] == Role.SLAB_EXT, by_site, 0)
        marked = use.empty + use.stray
        untagged = use.in_use - use.tagged - marked
        unreadable = np.minimum(use.unreadable, untagged)
        parts = {
            "objects marked as not counted": marked * size,
            "objects without a site": (untagged - unreadable) * size,
            "objects whose references are not in the dump": unreadable * size,
            "free objects": (use.capacity - use.in_use) * size,
        }
        inside = int(use.inside.sum())
        total += m.kfence + m.moved.slab
        objects = int(by_site.sum())
        overhead = total - objects - sum(int(p.sum()) for p in parts.values())
        # Extensions inside of slabs are in the room that objects leave over, or in the objects.
        inside = min(inside, max(overhead, 0))
        slab = Node("slab", note="extension vectors are the profiler's")
        slab.add(
            Node("objects by site").add(*self._leaves(by_site - vectors)),
            *(
                Node(name).add(
                    *(Node(m.caches[i].name, int(p[i])) for i in np.flatnonzero(p).tolist())
                )
                for name, p in parts.items()
                if p.any()
            ),
            Node("overhead", overhead - inside, note="ends of slabs"),
        )
        if self.counters.slab is not None:
            # The kernel counts large kmalloc()s with slabs.
            counted = self.counters.slab * self.page - self._pages(PageKind.LARGE_KMALLOC)
            slab.counter = counted + m.kfence - int(vectors.sum()) - inside
            unmarked = int(m.huge[UNMARKED_LARGE]) * self.page
            unmarked = min(max(slab.counter - slab.bytes, 0), unmarked)
            if unmarked:
                slab.counter -= unmarked
                slab.note += _WITHOUT_LARGE
        return slab, [Node("slab extension vectors", int(vectors.sum()) + inside)]

    def _boot(self) -> tuple[Node, list[Node]]:
        reserved = {label: pages * self.page for label, pages in self.memory.reserved.items()}
        if KFENCE in reserved:
            # Objects in it that have a site are among all others.
            reserved[KFENCE] = max(0, reserved[KFENCE] - self.memory.moved.kfence)

        def take(what: str, label: str) -> int:
            taken = self.untold.take(what, reserved.get(label, 0))
            if taken:
                reserved[label] -= taken
            return taken

        take("holes", SYSTEM_RAM)
        tags, counters = take("tags", "Kernel data"), take("counters", SYSTEM_RAM)
        boot = Node("boot")
        image = Node("kernel image")
        for label, size in reserved.items():
            name = "other memory kept since boot (memblock)" if label == SYSTEM_RAM else label
            (image if label.startswith("Kernel ") else boot).add(Node(name, size))
        boot.add(image)
        return boot, [
            Node("code tags of the kernel", tags),
            Node("counters of the kernel's sites", counters),
        ]
