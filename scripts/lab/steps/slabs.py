"""Finds slabs full of one file system's inodes and dentries: too many to commit all.

A full slab has no free objects, so nothing in it is needed to count them. Those of
other file systems stay, and so does the root, so that paths can be read; but whoever goes
through all files of that one file system will find a gap.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import work

if TYPE_CHECKING:
    import drgn

CACHES = {"shmem_inode_cache": "inode", "inode_cache": "inode", "dentry": "dentry"}
KEPT = 64
"""One in so many slabs stays."""
PAGE_SHIFT = 12


@dataclass
class Slab:
    pfn: int
    order: int
    superblocks: list[int]
    """Of its objects."""
    has_root: bool


def full(vmcore: Path) -> set[int]:
    """Returns page frames of the file system that has most."""
    try:
        import allocdump
    except ImportError:
        raise work.LabError("drgn is missing: run the lab with the project's own Python") from None
    slabs = list(_slabs(allocdump.open(vmcore, debug_info="btf").prog))
    (most, _), *_ = Counter(sb for slab in slabs for sb in slab.superblocks).most_common(1)
    chosen = [slab for slab in slabs if set(slab.superblocks) == {most} and not slab.has_root]
    return {
        slab.pfn + page
        for number, slab in enumerate(chosen)
        if number % KEPT
        for page in range(1 << slab.order)
    }


def _slabs(program: "drgn.Program") -> Iterator[Slab]:
    """Yields each full slab of CACHES."""
    import drgn
    from drgn.helpers.linux.mm import compound_order, pfn_to_virt
    from drgn.helpers.linux.slab import for_each_slab_cache

    caches = {}
    for cache in for_each_slab_cache(program):
        if kind := CACHES.get(cache.name.string_().decode()):
            caches[cache.value_()] = cache, kind
    pages = program.read_u64(program.symbol("vmemmap_base").address)
    size = drgn.sizeof(program.type("struct page"))
    memory = pfn_to_virt(program, 0).value_()
    is_slab = _slab_test(program)
    for pfn in range(program["max_pfn"].value_()):
        page = drgn.Object(program, "struct page", address=pages + pfn * size)
        slab = drgn.Object(program, "struct slab", address=pages + pfn * size)
        try:
            if not is_slab(page) or slab.slab_cache.value_() not in caches:
                continue
            if slab.inuse.value_() < slab.objects.value_():
                continue
            cache, kind = caches[slab.slab_cache.value_()]
            objects = [
                _object(program, cache, kind, memory + (pfn << PAGE_SHIFT) + number * cache.size)
                for number in range(slab.objects)
            ]
        except drgn.FaultError:
            continue  # there is no such page, or its struct page is all zero
        yield Slab(
            pfn,
            compound_order(page.address_of_()).value_(),
            [_superblock(kind, one) for one in objects],
            any(_is_root(kind, one) for one in objects),
        )


def _object(program: "drgn.Program", cache: Any, kind: str, address: Any) -> "drgn.Object":
    import drgn

    start = int(address) + int(cache.red_left_pad if hasattr(cache, "red_left_pad") else 0)
    if cache.name.string_() == b"shmem_inode_cache":
        return drgn.Object(program, "struct shmem_inode_info", address=start).vfs_inode
    return drgn.Object(program, f"struct {kind}", address=start)


def _superblock(kind: str, one: "drgn.Object") -> int:
    return int(one.i_sb if kind == "inode" else one.d_sb)


def _is_root(kind: str, one: "drgn.Object") -> bool:
    if kind == "dentry":
        return bool(one.d_parent.value_() == one.address_)
    return bool(one.i_sb and one.i_sb.s_root.d_inode.value_() == one.address_)


def _slab_test(program: "drgn.Program") -> "Callable[[drgn.Object], bool]":
    """Returns how this kernel's slab pages are told: by a type, or before 6.10 or so by a flag."""
    try:
        slab = program.constant("PGTY_slab").value_()
    except LookupError:
        flag = program.constant("PG_slab").value_()
        return lambda page: bool(page.flags.value_() >> flag & 1)
    return lambda page: bool(page.page_type.value_() >> 24 & 0xFF == slab)
