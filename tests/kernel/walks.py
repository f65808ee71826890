# SPDX-License-Identifier: LGPL-2.1-or-later
"""All walks, and for each how to break it: the rows of the fault matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from drgn import Object, Program, sizeof
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.fs import super_block_for_each_mount
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.percpu import per_cpu

from allocdump.kernel.chains import Broken
from allocdump.kernel.kernel import Kernel
from allocdump.kernel.machine.cgroups import memory_cgroups
from allocdump.kernel.machine.free_lists import free_lists
from allocdump.kernel.machine.modules import loaded_modules
from allocdump.kernel.machine.open_files import OpenFiles, open_files
from allocdump.kernel.machine.page_pools import page_pools
from allocdump.kernel.machine.printk import printk_records
from allocdump.kernel.machine.swap import swap_space
from allocdump.kernel.machine.tasks import every_task, tasks
from allocdump.kernel.machine.tmpfs import tmpfs_mounts
from allocdump.kernel.machine.zones import zone_states
from allocdump.kernel.mm.boot_memory import Span, memory_map
from allocdump.kernel.mm.merged_caches import merged_names
from allocdump.kernel.mm.page_lists import pcp_blocks
from allocdump.kernel.mm.pages import FrameReader
from allocdump.kernel.mm.percpu import PerCpuReader, chunks, pointer_base
from allocdump.kernel.mm.slab import Cache, slab_caches
from allocdump.kernel.mm.slab_free import FREE_LISTS, cpu_lists, cpu_slabs, free_objects, sheaves
from allocdump.kernel.mm.vmalloc import unused_ranges, vm_areas
from allocdump.kernel.tags.codetag import codetag_types, tag_ranges
from allocdump.kernel.tags.references import SiteIndex
from allocdump.kernel.tags.unloaded import unloaded_ranges
from allocdump.kernel.walk import tree_entries
from allocdump.problems import Problem

from ..dumpdata import core, exclude, open_core, overwrite, place

POISON = 0xDEAD000000000100
"""LIST_POISON1: not canonical, so no memory."""

CUT, CYCLE, BAD, FIRST = FAULTS = ("cut", "cycle", "bad entry", "bad first entry")

Found = Iterable[object]
Problems = Sequence[object]
Fault = Callable[[Program], Found | int]
"""Breaks something; returns what may be missing then, or how much."""


@dataclass
class Row:
    """A walk: how to see what it finds, and how to break it."""

    folder: str
    read: Callable[[Program], tuple[Found, Problems]]
    """What it finds, and its problems."""
    faults: dict[str, Fault | str] = field(default_factory=dict)
    """A sentence where a fault cannot be."""


def write(prog: Program, address: int, value: int, size: int = 8) -> None:
    overwrite(prog, address, (value & (1 << 64) - 1).to_bytes(8, "little")[:size])


def none(*_: object) -> list[object]:
    return []


def of_list(
    folder: str,
    read: Callable[[Program], tuple[Found, Problems]],
    entries: Callable[[Program], list[Object]],
    member: str,
    key: Callable[[Object], object],
    counted: bool = False,
) -> Row:
    """A doubly linked list: links that are broken cost nothing.

    :param entries: of one list
    :param counted: what is read tells how many there are only
    """

    def link(entry: Object, direction: str = "next") -> int:
        return place(entry.member_(member).member_(direction))

    def cut(prog: Program) -> Found:
        some = entries(prog)
        write(prog, link(some[len(some) // 2]), POISON)
        return []

    def cycle(prog: Program) -> Found:
        some = entries(prog)
        middle = link(some[len(some) // 2])
        write(prog, middle, middle)
        return []

    def without(number: Callable[[int], int]) -> Fault:
        def fault(prog: Program) -> Found | int:
            some = entries(prog)
            page = place(some[number(len(some))].member_(member)) & -4096
            size = sizeof(some[0].type_.type)
            keys = [key(e) for e in some if page - size < e.value_() < page + 4096]
            exclude(prog, page)
            return len(keys) if counted else keys

        return fault

    return Row(
        folder,
        read,
        {CUT: cut, CYCLE: cycle, BAD: without(lambda n: n // 2), FIRST: without(lambda n: 0)},
    )


def on(
    type_: str, head: Callable[[Program], Object], member: str
) -> Callable[[Program], list[Object]]:
    def entries(prog: Program) -> list[Object]:
        return list(list_for_each_entry(type_, head(prog), member))

    return entries


def variable(name: str) -> Callable[[Program], Object]:
    return lambda prog: prog[name].address_of_()


# What the walks find.


def _caches(prog: Program) -> tuple[Found, Problems]:
    found, problems = slab_caches(prog)
    return [c.address for c in found], problems


def _chunks(prog: Program) -> tuple[Found, Problems]:
    reader = PerCpuReader(Kernel(prog), SiteIndex(np.zeros(0, np.uint64)))
    return [c.start for c in reader], reader.problems


def _areas(prog: Program) -> tuple[Found, Problems]:
    found = vm_areas(prog)
    return [a.vmap_area for a in found], found.problems


def _unused(prog: Program) -> tuple[Found, Problems]:
    found = unused_ranges(prog)
    return found.found, found.problems


def _zones(prog: Program) -> tuple[Found, Problems]:
    found, problems = zone_states(Kernel(prog))
    return [(z.node, z.name) for z in found], problems


def _frames(prog: Program) -> FrameReader:
    return FrameReader(Kernel.of_program(prog), SiteIndex(np.zeros(0, np.uint64)))


def _pcp(prog: Program) -> tuple[Found, Problems]:
    pfn, _, problems = pcp_blocks(Kernel(prog), _frames(prog).pfn_of)
    return pfn.tolist(), problems


def _free(prog: Program) -> tuple[Found, Problems]:
    kernel, (caches, _) = Kernel(prog), slab_caches(prog)
    broken = Broken()
    batches = free_objects(kernel, caches, *cpu_lists(kernel, caches), broken)
    found = [a for _, batch in batches for a in batch.tolist()]
    return found, broken.problems(prog, FREE_LISTS)


def _cpu_slabs(prog: Program) -> tuple[Found, Problems]:
    problems: list[Problem] = []
    found = cpu_slabs(Kernel(prog), slab_caches(prog)[0], problems)
    return found.tolist(), problems


def _sheaves(prog: Program) -> tuple[Found, Problems]:
    caches, _ = slab_caches(open_core(core("7.2-quiet")).prog)
    found = sheaves(Kernel(prog), caches)
    return found.address.tolist(), found.problems


def _resources(prog: Program) -> tuple[list[Span], Problems]:
    found = memory_map(prog)
    return found.found, found.problems


def _ranges(prog: Program) -> tuple[Found, Problems]:
    found = tag_ranges(prog, loaded_modules(prog))
    return [(r.start, r.stop) for r in found.ranges], found.problems


def _unloaded(prog: Program) -> tuple[Found, Problems]:
    modules = loaded_modules(prog)
    found, problems = unloaded_ranges(Kernel(prog), tag_ranges(prog, modules).ranges, modules)
    return [(r.start, r.stop) for r in found], problems


def _types(prog: Program) -> tuple[Found, Problems]:
    found = codetag_types(prog)
    return [t.name for t in found], found.problems


def _modules(prog: Program) -> tuple[Found, Problems]:
    found = loaded_modules(prog)
    return [m.name for m in found.modules], found.problems


def _swap(prog: Program) -> tuple[Found, Problems]:
    found = swap_space(prog)
    assert found is not None
    return [found.total, found.used], found.problems


def _tasks(prog: Program) -> tuple[list[tuple[int, str, int]], Problems]:
    found = tasks(Kernel(prog))
    return [(t.pid, t.comm, t.rss) for t in found.tasks], found.problems


def _open_files(prog: Program) -> tuple[list[OpenFiles], Problems]:
    found = open_files(Kernel(prog))
    return found.files, found.problems


def _with_files(prog: Program) -> tuple[Found, Problems]:
    found, problems = _open_files(prog)
    return [one.pid for one in found], problems


def _each_file(prog: Program) -> tuple[Found, Problems]:
    found, problems = _open_files(prog)
    return range(sum(one.files for one in found)), problems


def _held_pages(prog: Program) -> tuple[Found, Problems]:
    found, problems = _open_files(prog)
    return range(sum(one.bytes for one in found) >> 12), problems


def _every_task(prog: Program) -> tuple[Found, Problems]:
    found = every_task(prog)
    return [t.value_() for t in found], found.problems


def _cgroups(prog: Program) -> tuple[list[tuple[str, int]], Problems]:
    found = memory_cgroups(prog)
    return [(c.path, c.usage) for c in found.cgroups], found.problems


def _cgroup_paths(prog: Program) -> tuple[Found, Problems]:
    paths = [c.path for c in memory_cgroups(prog).cgroups]
    return paths, [path for path in paths if path == "?"]


def _mounts(prog: Program) -> tuple[Found, Problems]:
    found = tmpfs_mounts(Kernel(prog))
    return [(m.files, m.bytes) for m in found.mounts], found.problems


def _files(prog: Program) -> tuple[Found, Problems]:
    found = tmpfs_mounts(Kernel(prog))
    return range(sum(m.files for m in found.mounts)), found.problems


def _log(prog: Program) -> tuple[Found, Problems]:
    found = printk_records(prog)
    return [(r.time, r.text) for r in found], found.problems


def percpu_chunks(prog: Program) -> list[Object]:
    return [c for c in chunks(prog) if isinstance(c, Object)]


def vmap_lists(prog: Program) -> list[list[Object]]:
    nodes = prog["vmap_nodes"]
    heads = [nodes[i].busy.head.address_of_() for i in range(prog["nr_vmap_nodes"])]
    return [list(list_for_each_entry("struct vmap_area", head, "list")) for head in heads]


def _start_of_chunk(chunk: Object) -> int:
    start: int = (chunk.base_addr.value_() - pointer_base(chunk.prog_)) % (1 << 64)
    return start


# How to break what is no list.


def hide(find: Callable[[Program], int], lost: Callable[[Program], Found | int] = none) -> Fault:
    """Take the page of an address away."""

    def fault(prog: Program) -> Found | int:
        address, gone = find(prog), lost(prog)
        exclude(prog, address)
        return gone

    return fault


def put(
    find: Callable[[Program], int],
    value: Callable[[Program], int],
    lost: Callable[[Program], Found | int] = none,
) -> Fault:
    """Write a word."""

    def fault(prog: Program) -> Found | int:
        gone = lost(prog)
        write(prog, find(prog), value(prog))
        return gone

    return fault


def poison(prog: Program) -> int:
    return POISON


def _no_vm(number: int) -> Fault:
    """A vmap_area that points nowhere."""

    def fault(prog: Program) -> Found:
        area = max(vmap_lists(prog), key=len)[number]
        write(prog, place(area.vm), POISON)
        return [area.value_()]

    return fault


def _zone(node: int) -> tuple[Callable[[Program], int], Callable[[Program], Found]]:
    """Of a populated zone: its address, and all that are on its page."""

    def populated(prog: Program) -> list[Object]:
        pgdats = [prog["node_data"][n] for n in range(2)]
        return [z for p in pgdats for z in p.node_zones if z.present_pages]

    def find(prog: Program) -> int:
        return place(populated(prog)[node].name)

    def lost(prog: Program) -> Found:
        page, size = find(prog) & -4096, sizeof(prog.type("struct zone"))
        return [
            (z.zone_pgdat.node_id.value_(), z.name.string_().decode())
            for z in populated(prog)
            if page - size < place(z) < page + 4096
        ]

    return find, lost


def _pcp_list(prog: Program) -> tuple[int, list[int]]:
    """Head of a per-CPU list with several pages, and the links on it."""
    for node in range(2):
        for zone in prog["node_data"][node].node_zones:
            if zone.present_pages:
                for cpu in for_each_online_cpu(prog):
                    for head in per_cpu(zone.per_cpu_pageset[0], cpu).lists:
                        link, links = head.next.read_(), []
                        while link.value_() != head.address_:
                            links.append(link.value_())
                            link = link.next.read_()
                        if len(links) > 4:
                            return place(head), links
    raise LookupError


def _free_list(prog: Program) -> tuple[Cache, list[int]]:
    """A cache, and the objects on a CPU's free list of it."""
    kernel, (caches, _) = Kernel(prog), slab_caches(prog)
    which, first = cpu_lists(kernel, caches)
    for cache, start in zip(which.tolist(), first.tolist(), strict=True):
        batches = free_objects(kernel, caches, np.array([cache]), np.array([start], np.uint64))
        objects = [a for _, batch in batches for a in batch.tolist()]
        if len(objects) > 6:
            return caches[cache], objects
    raise LookupError


def _free_fault(number: int, to: int | None) -> Fault:
    """Have the object *number* of a free list point at another one, or nowhere."""

    def fault(prog: Program) -> Found:
        cache, objects = _free_list(prog)
        place = objects[number] + cache.free_pointer
        value = POISON if to is None else objects[to]
        if cache.random is not None:
            value ^= cache.random ^ int.from_bytes(place.to_bytes(8, "little"), "big")
        write(prog, place, value)
        return objects[number + 1 :]

    return fault


def _partial(prog: Program) -> list[Object]:
    """The slabs on the longest list that a CPU keeps."""
    best: list[Object] = []
    for cache in slab_caches(prog)[0]:
        for _, at in Kernel(prog).cpus.copies(cache.cpu_slab):
            slab = Object(prog, "struct kmem_cache_cpu", address=at).partial.read_()
            found: list[Object] = []
            while slab and len(found) < 100:
                found.append(slab)
                slab = slab.next.read_()
            best = max(best, found, key=len)
    assert len(best) > 2
    return best


def _partial_fault(number: int, to: int | None) -> Fault:
    """Have a slab on such a list point at another one, or nowhere."""

    def fault(prog: Program) -> Found:
        slabs = _partial(prog)
        value = POISON if to is None else slabs[to].value_()
        write(prog, place(slabs[number].next), value)
        return [slab.value_() for slab in slabs[number + 1 :]]

    return fault


def _free_blocks(prog: Program) -> tuple[Found, Problems]:
    lists, problems = free_lists(Kernel(prog))
    found = [
        (zone, *index, number)
        for zone, one in enumerate(lists)
        for index, count in np.ndenumerate(one.blocks)
        for number in range(int(count))
    ]
    return found, problems


def _free_links(prog: Program) -> tuple[int, list[int]]:
    """Head of the allocator's first list with several free blocks, and the links on it."""
    for zone in prog["node_data"][0].node_zones:
        for area in zone.free_area:
            for head in area.free_list:
                link, links = head.next.read_(), []
                while link.value_() != head.address_ and link:
                    links.append(link.value_())
                    link = link.next.read_()
                if len(links) > 4:
                    return place(head), links
    raise LookupError


def _sheaf_links(prog: Program) -> list[Object]:
    """Links on a barn's list of sheaves."""
    for cache in slab_caches(prog)[0]:
        barn = Object(prog, "struct kmem_cache *", cache.address).per_node[0].barn.read_()
        if barn:
            for head in (barn.sheaves_full, barn.sheaves_empty):
                found = list(
                    list_for_each_entry("struct slab_sheaf", head.address_of_(), "barn_list")
                )
                if len(found) > 2:
                    return found
    raise LookupError


def _of_caches(number: int) -> Fault:
    """Take the page of a slab cache away from the sheaves, not from the list of caches."""

    def fault(prog: Program) -> int:
        caches = [c for c in slab_caches(prog)[0] if c.cpu_sheaves]
        exclude(prog, caches[number].address)
        return 10**6

    return fault


def _ram(prog: Program) -> Object:
    """The resource of most memory."""
    resource = prog["iomem_resource"].child.read_()
    while resource.name.string_() != b"System RAM" or not resource.child:
        resource = resource.sibling.read_()
    return resource


def _after_ram(prog: Program) -> list[Span]:
    """What follows the first child of most memory."""
    spans = _resources(prog)[0]
    first = _ram(prog).child.start.value_() // 4096
    return [s for s in spans if s.start > first]


def _member(find: Callable[[Program], Object], path: str) -> Callable[[Program], int]:
    """Address of a member of what a pointer points at."""

    def address(prog: Program) -> int:
        value = find(prog)
        for name in path.split("."):
            value = value.member_(name)
        return place(value)

    return address


def _tag_idr(prog: Program) -> Object:
    return prog["alloc_tag_cttype"].mod_idr.idr_rt.xa_head


def _tag_node(prog: Program) -> Object:
    return Object(prog, "struct xa_node *", _tag_idr(prog).value_() - 2)


def _codetag_module(number: int) -> Callable[[Program], Object]:
    return lambda prog: Object(
        prog, "struct codetag_module *", [s for s in _tag_node(prog).slots if s][number].value_()
    )


def _pid_node(prog: Program) -> Object:
    return Object(prog, "struct xa_node *", prog["init_pid_ns"].idr.idr_rt.xa_head.value_() - 2)


def _pid(number: int) -> Callable[[Program], int]:
    def find(prog: Program) -> int:
        return int([s for s in _pid_node(prog).slots if s][number].value_())

    return find


def _page_pools(prog: Program) -> tuple[Found, Problems]:
    found = page_pools(prog)
    return [pool.address for pool in found], found.problems


def _pool_node(prog: Program) -> Object:
    return Object(prog, "struct xa_node *", prog["page_pools"].xa_head.value_() - 2)


def _page_pool(number: int) -> Callable[[Program], int]:
    return lambda prog: list(page_pools(prog))[number].address


def _maple_root(prog: Program) -> Object:
    return prog["mod_area_mt"].ma_root


def _maple_circle(prog: Program) -> Found:
    """The only node is made an inner one, below itself; see lib/maple_tree.c."""
    root = _maple_root(prog)
    node = root.value_() & ~0xFF
    inner, is_node, is_root = 2 << 3, 4, 2
    slots = prog.type("struct maple_range_64").member("slot").offset
    # The last one has the number of those in use.
    for number in range(15):
        write(prog, node + slots + 8 * number, node | inner | is_node)
    write(prog, place(root), node | inner | is_node | is_root)
    return []


def _process(number: int) -> Callable[[Program], Object]:
    """A process, by its place on the list of tasks."""

    def find(prog: Program) -> Object:
        found = list(
            list_for_each_entry(
                "struct task_struct", prog["init_task"].tasks.address_of_(), "tasks"
            )
        )
        return [t for t in found if t.mm][number]

    return find


def _headless(*writes: tuple[str, str]) -> Fault:
    """A process whose leader has exited, and whose list of threads is broken."""

    def fault(prog: Program) -> Found:
        leader = _process(-1)(prog)
        lost = [key for key in _tasks(prog)[0] if key[0] == leader.pid.value_()]
        node = leader.thread_node
        head = leader.signal.thread_head
        for address, value in writes:
            places = {
                "next": place(node.next),
                "self": place(node),
                "head": place(head.next),
                "tail": place(head.prev),
            }
            write(prog, places[address], places.get(value, POISON))
        write(prog, place(leader.mm), 0)
        return lost

    return fault


def _idle(prog: Program, cpu: int) -> Object:
    return per_cpu(prog["runqueues"], cpu).idle


def _rq(prog: Program) -> int:
    return place(_idle(prog, 1))


def _root_css(prog: Program) -> Object:
    return prog["root_mem_cgroup"].css.children.address_of_()


def _css_key(css: Object) -> tuple[str, int]:
    prog = css.prog_
    return next(k for k in _cgroups(prog)[0] if k[0] == "/" + css.cgroup.kn.name.string_().decode())


def _kernfs(prog: Program) -> Object:
    css = next(iter(list_for_each_entry("struct cgroup_subsys_state", _root_css(prog), "sibling")))
    return css.cgroup.kn


def _kernfs_path(prog: Program) -> list[str]:
    return ["/" + _kernfs(prog).name.string_().decode()]


def _tmpfs(prog: Program) -> list[Object]:
    found = list_for_each_entry("struct super_block", variable("super_blocks")(prog), "s_list")
    return [sb for sb in found if sb.s_op.value_() == prog.symbol("shmem_ops").address]


def _inodes(prog: Program) -> list[Object]:
    sb = max(_tmpfs(prog), key=lambda sb: len(list(_inodes_of(sb))))
    return list(_inodes_of(sb))


def _inodes_of(sb: Object) -> Iterator[Object]:
    return list_for_each_entry("struct inode", sb.s_inodes.address_of_(), "i_sb_list")


def _mount(prog: Program) -> Object:
    """A tmpfs that is mounted on a directory."""
    for sb in _tmpfs(prog):
        mount = next(iter(super_block_for_each_mount(sb)))
        if mount.mnt_parent != mount and mount.mnt_mountpoint != mount.mnt_mountpoint.d_parent:
            return mount
    raise LookupError


def _dentry(prog: Program) -> Object:
    return _mount(prog).mnt_mountpoint


def _ring(prog: Program) -> Object:
    return prog["prb"].desc_ring


def _text(number: int) -> Callable[[Program], int]:
    """Address of the text of a record."""

    def find(prog: Program) -> int:
        ring, data = _ring(prog), prog["prb"].text_data_ring
        count, size = 1 << ring.count_bits, 1 << data.size_bits
        at = (ring.tail_id.counter.value_() + number) % count
        begin = ring.descs[at].text_blk_lpos.begin.value_() % size
        return int(data.data.value_()) + int(begin)

    return find


def _slot(prog: Program, number: int) -> Object:
    """A slot of the table of files of the process that has most."""
    return _process(-1)(prog).files.fdt.fd[number]


def _private(type_: str, number: int) -> Callable[[Program], Object]:
    """What a file of that process is for; pipes have two each, and three files come before."""

    def find(prog: Program) -> Object:
        file = _slot(prog, 3 + 2 * number).read_()
        return Object(prog, f"struct {type_} *", file.private_data.value_())

    return find


def _pipe(number: int) -> Callable[[Program], Object]:
    return _private("pipe_inode_info", number)


def _socket(number: int) -> Callable[[Program], Object]:
    return _private("socket", number)


def _merged(prog: Program) -> Found:
    return merged_names(prog).found


def _names_of_caches(prog: Program) -> Object:
    return prog["slab_kset"].kobj.sd.dir.children


def _link_to_cache(prog: Program) -> Object:
    return next(
        node[0]
        for node in tree_entries("struct kernfs_node", _names_of_caches(prog).address_of_(), "rb")
        if isinstance(node, Object) and node.flags.value_() & 4
    )


ROWS: dict[str, Row] = {}
ROWS["the list of slab caches"] = of_list(
    "7.2-quiet", _caches, on("struct kmem_cache", variable("slab_caches"), "list"), "list",
    lambda c: c.value_(),
)  # fmt: skip
ROWS["the list of merged slab caches"] = Row(
    "stock-7.3-inodes",
    lambda p: (merged_names(p).found, merged_names(p).problems),
    {
        CUT: put(lambda p: place(_names_of_caches(p).rb_node.rb_left), poison, _merged),
        CYCLE: put(
            lambda p: place(_names_of_caches(p).rb_node.rb_left),
            lambda p: _names_of_caches(p).rb_node.value_(),
            _merged,
        ),
        BAD: put(lambda p: place(_link_to_cache(p).name), poison, lambda p: 1),
        FIRST: put(lambda p: place(_link_to_cache(p).symlink.target_kn), poison, lambda p: 1),
    },
)
ROWS["per-CPU chunks"] = of_list("7.2-quiet", _chunks, percpu_chunks, "list", _start_of_chunk)
# The page of the first chunk has the heads of all lists, too.
ROWS["per-CPU chunks"].faults[FIRST] = put(
    _member(lambda p: percpu_chunks(p)[0], "alloc_map"),
    poison,
    lambda p: [_start_of_chunk(percpu_chunks(p)[0])],
)
ROWS["the tree of vmalloc areas"] = of_list(
    "7.2-quiet", _areas, lambda p: max(vmap_lists(p), key=len), "list", lambda a: a.value_()
)
# There are many on a page: see test_a_page_of_vmalloc_areas().
ROWS["the tree of vmalloc areas"].faults |= {BAD: _no_vm(9), FIRST: _no_vm(0)}
ROWS["lists of unused vmalloc space"] = of_list(
    "7.2-quiet", _unused, on("struct vmap_area", variable("free_vmap_area_list"), "list"), "list",
    lambda a: a.value_(),
)  # fmt: skip
# There are many on a page, and what is in use, too.
ROWS["lists of unused vmalloc space"].faults |= {
    BAD: "only the links are read", FIRST: "only the links are read"
}  # fmt: skip
ROWS["zones"] = Row(
    "7.2-quiet",
    _zones,
    {
        CUT: "an array has no links",
        CYCLE: "an array has no links",
        BAD: hide(*_zone(1)),
        FIRST: hide(*_zone(0)),
    },
)
ROWS["per-CPU lists of free pages"] = Row(
    "7.2-quiet",
    _pcp,
    {
        CUT: put(lambda p: _pcp_list(p)[1][2], poison),
        CYCLE: put(lambda p: _pcp_list(p)[1][2], lambda p: _pcp_list(p)[1][1]),
        BAD: put(lambda p: _pcp_list(p)[1][3], lambda p: _pcp_list(p)[1][3] + 3),
        FIRST: put(lambda p: _pcp_list(p)[0], poison),
    },
)
ROWS["lists of free blocks"] = Row(
    "7.2-quiet",
    _free_blocks,
    {
        CUT: put(lambda p: _free_links(p)[1][2], poison, lambda p: 1),
        CYCLE: put(lambda p: _free_links(p)[1][2], lambda p: _free_links(p)[1][1], lambda p: 1),
        BAD: put(lambda p: _free_links(p)[1][3], lambda p: _free_links(p)[1][3] + 3, lambda p: 1),
        FIRST: put(lambda p: _free_links(p)[0], poison, lambda p: 1),
    },
)
ROWS["free lists of slab caches"] = Row(
    "6.12-oom",
    _free,
    {CUT: _free_fault(3, None), CYCLE: _free_fault(3, 1), BAD: _free_fault(4, 4),
     FIRST: _free_fault(0, None)},
)  # fmt: skip
ROWS["CPUs' lists of slabs"] = Row(
    "stock-6.12-quiet",
    _cpu_slabs,
    {
        CUT: _partial_fault(1, None),
        CYCLE: _partial_fault(1, 0),
        BAD: _partial_fault(1, None),
        FIRST: _partial_fault(0, None),
    },
)
ROWS["the barns of slab caches"] = Row(
    "7.2-quiet",
    _sheaves,
    {
        CUT: "a table has no links",
        CYCLE: "a table has no links",
        BAD: _of_caches(5),
        FIRST: _of_caches(0),
    },
)
ROWS["lists of sheaves"] = Row(
    "7.2-quiet",
    _sheaves,
    {
        CUT: put(lambda p: place(_sheaf_links(p)[1].barn_list.next), poison),
        CYCLE: put(
            lambda p: place(_sheaf_links(p)[1].barn_list.next),
            lambda p: place(_sheaf_links(p)[0].barn_list),
        ),
        BAD: put(lambda p: place(_sheaf_links(p)[1].barn_list.next), lambda p: 3),
        FIRST: put(lambda p: place(_sheaf_links(p)[0].barn_list.next), poison),
    },
)
ROWS["what boot made of memory (iomem_resource)"] = Row(
    "7.2-quiet",
    _resources,
    {
        CUT: put(_member(lambda p: _ram(p).child, "sibling"), poison, _after_ram),
        CYCLE: put(
            _member(lambda p: _ram(p).child, "sibling"), lambda p: _ram(p).value_(), _after_ram
        ),
        BAD: put(
            _member(lambda p: _ram(p).child, "name"), poison,
            lambda p: [s for s in _resources(p)[0] if s.label == "Kernel code"],
        ),
        FIRST: put(
            _member(lambda p: p["iomem_resource"].child, "name"), poison,
        ),
    },
)  # fmt: skip
ROWS["the IDR of tag ranges (alloc_tag_cttype->mod_idr)"] = Row(
    "7.2-quiet",
    _ranges,
    {
        CUT: hide(lambda p: _tag_node(p).value_()),
        CYCLE: put(_member(_tag_node, "slots"), lambda p: _tag_idr(p).value_()),
        BAD: put(_member(_codetag_module(1), "mod"), poison),
        FIRST: put(_member(_codetag_module(0), "mod"), poison),
    },
)
ROWS["the list of code tag types"] = of_list(
    "7.3-compressed", _types, on("struct codetag_type", variable("codetag_types"), "link"), "link",
    lambda t: t.desc.section.string_().decode(),
)  # fmt: skip
ROWS["the maple tree of module tags (mod_area_mt)"] = Row(
    "7.2-quiet",
    _unloaded,
    {
        CUT: hide(lambda p: _maple_root(p).value_() & ~0xFF),
        CYCLE: _maple_circle,
        BAD: "an entry is only compared",
        FIRST: "an entry is only compared",
    },
)
ROWS["the module list"] = of_list(
    "7.2-quiet", _modules, on("struct module", variable("modules"), "list"), "list",
    lambda m: m.name.string_().decode(),
)  # fmt: skip
ROWS["the table of swap devices"] = Row(
    "6.12-oom-user",
    _swap,
    {
        CUT: "a table has no links",
        CYCLE: "a table has no links",
        BAD: "there is one device",
        FIRST: hide(lambda p: p["swap_info"][0].value_()),
    },
)
ROWS["processes"] = Row(
    "6.12-oom-user",
    _tasks,
    {
        CUT: "they come from the list of tasks",
        CYCLE: "they come from the list of tasks",
        BAD: put(
            _member(_process(1), "signal"), poison,
            lambda p: [k for k in _tasks(p)[0] if k[0] == _process(1)(p).pid.value_()],
        ),
        FIRST: put(
            _member(_process(0), "signal"), poison,
            lambda p: [k for k in _tasks(p)[0] if k[0] == _process(0)(p).pid.value_()],
        ),
    },
)  # fmt: skip
ROWS["tables of open files"] = Row(
    "stock-7.3-pipes",
    _with_files,
    {
        CUT: "they come from the list of tasks",
        CYCLE: "they come from the list of tasks",
        BAD: put(
            _member(_process(1), "files"), poison, lambda p: [_process(1)(p).tgid.value_()]
        ),
        FIRST: put(
            _member(_process(0), "files"), poison, lambda p: [_process(0)(p).tgid.value_()]
        ),
    },
)  # fmt: skip
ROWS["open files"] = Row(
    "stock-7.3-pipes",
    _each_file,
    {
        CUT: "a table has no links",
        CYCLE: "a table has no links",
        BAD: put(lambda p: place(_slot(p, 500)), poison, lambda p: 1),
        FIRST: put(lambda p: place(_slot(p, 3)), poison, lambda p: 1),
    },
)
ROWS["pipes"] = Row(
    "stock-7.3-pipes",
    _held_pages,
    {
        CUT: "a ring has no links",
        CYCLE: put(_member(_pipe(100), "ring_size"), lambda p: 3, lambda p: 48),
        BAD: put(_member(_pipe(100), "bufs"), poison, lambda p: 48),
        FIRST: put(_member(_pipe(0), "bufs"), poison, lambda p: 48),
    },
)
ROWS["sockets"] = Row(
    "stock-6.12-sockets",
    _held_pages,
    {
        CUT: "a socket has no links",
        CYCLE: "a socket has no links",
        BAD: put(_member(_socket(100), "sk"), poison, lambda p: 128),
        FIRST: put(_member(_socket(0), "sk"), poison, lambda p: 128),
    },
)
_TASK_LIST = on("struct task_struct", lambda p: p["init_task"].tasks.address_of_(), "tasks")
ROWS["the list of tasks"] = of_list(
    "6.12-oom-user", _tasks, _TASK_LIST, "tasks",
    lambda t: next((k for k in _tasks(t.prog_)[0] if k[0] == t.pid.value_()), None),
)  # fmt: skip
ROWS["the table of pids"] = Row(
    "7.2-quiet",
    _every_task,
    {
        CUT: hide(lambda p: _pid_node(p).value_()),
        CYCLE: put(
            _member(_pid_node, "slots"),
            lambda p: p["init_pid_ns"].idr.idr_rt.xa_head.value_(),
        ),
        BAD: hide(_pid(20)),
        FIRST: hide(_pid(0)),
    },
)
ROWS["the table of page pools"] = Row(
    "stock-7.3-pipes",
    _page_pools,
    {
        CUT: hide(lambda p: _pool_node(p).value_(), lambda p: _page_pools(p)[0]),
        CYCLE: put(_member(_pool_node, "slots"), lambda p: p["page_pools"].xa_head.value_()),
        BAD: hide(_page_pool(1), lambda p: [_page_pool(1)(p)]),
        FIRST: hide(_page_pool(0), lambda p: [_page_pool(0)(p)]),
    },
)
ROWS["the mask of online CPUs"] = Row(
    "7.2-quiet",
    _every_task,
    {
        CUT: "a mask has no links",
        CYCLE: "a mask has no links",
        BAD: hide(_rq, lambda p: [_idle(p, 1).value_()]),
        FIRST: hide(lambda p: place(_idle(p, 0)), lambda p: [_idle(p, 0).value_()]),
    },
)
ROWS["the list of threads"] = Row(
    "7.2-quiet",
    _tasks,
    {
        CUT: _headless(("head", ""), ("tail", "")),
        CYCLE: _headless(("next", "self")),
        BAD: _headless(("next", "")),
        FIRST: _headless(("head", ""),),
    },
)  # fmt: skip
ROWS["the tree of memory cgroups"] = of_list(
    "7.2-oom-memcg", _cgroups, on("struct cgroup_subsys_state", _root_css, "sibling"), "sibling",
    _css_key,
)  # fmt: skip
ROWS["the path of a cgroup"] = Row(
    "7.2-oom-memcg",
    _cgroup_paths,
    {
        CUT: put(_member(_kernfs, "__parent"), poison, _kernfs_path),
        CYCLE: put(_member(_kernfs, "__parent"), lambda p: _kernfs(p).value_(), _kernfs_path),
        BAD: put(_member(_kernfs, "name"), poison, _kernfs_path),
        FIRST: "a bad entry is the first one",
    },
)
ROWS["the list of file systems"] = of_list(
    "7.2-quiet", _mounts, on("struct super_block", variable("super_blocks"), "s_list"), "s_list",
    lambda sb: (
        len(list(_inodes_of(sb))), sum(i.i_data.nrpages.value_() * 4096 for i in _inodes_of(sb)),
    ),
)  # fmt: skip
ROWS["the list of files of a tmpfs"] = of_list(
    "7.2-quiet", _files, _inodes, "i_sb_list", lambda i: i.value_(), counted=True
)
ROWS["the path of a mount"] = Row(
    "7.2-quiet",
    _mounts,
    {
        CUT: put(_member(_dentry, "d_parent"), poison),
        CYCLE: put(_member(_mount, "mnt_parent.mnt_parent"), lambda p: _mount(p).value_()),
        BAD: put(_member(_dentry, "d_name.name"), poison),
        FIRST: "a bad entry is the first one",
    },
)
ROWS["the kernel log"] = Row(
    "7.2-quiet",
    _log,
    {
        CUT: put(_member(_ring, "head_id.counter"), lambda p: 0x1234567812345678),
        CYCLE: put(
            _member(_ring, "head_id.counter"), lambda p: _ring(p).tail_id.counter.value_() - 1
        ),
        BAD: put(_text(100), poison, lambda p: 1),
        FIRST: put(_text(0), poison, lambda p: 1),
    },
)
