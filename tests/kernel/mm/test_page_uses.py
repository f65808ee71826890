# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages of special uses, laid into a dump of a machine that had none of them."""

from __future__ import annotations

import struct

import numpy as np
from drgn import Object, Program, offsetof, sizeof

import allocdump
from allocdump.kernel.machine.page_pools import PagePool, page_pools
from allocdump.kernel.mm.page_types import PageKind
from allocdump.session import Session

from ...dumpdata import core, open_core, overwrite, place

PAGE = 4096


def put(prog: Program, thing: Object, value: int) -> None:
    overwrite(prog, place(thing), value.to_bytes(sizeof(thing), "little"))


def pages_of(dump: Session, kind: PageKind, order: int, count: int) -> list[int]:
    """Page frames at which allocations or free blocks of an order begin."""
    found: list[int] = []
    for part in dump.pagemap:
        frames = part.frames
        some = (frames.kind == kind) & frames.is_head & (frames.order == order)
        if kind == PageKind.IN_USE:
            some &= frames.raw["refcount"] > 0
        found += (frames.section.pfn + np.flatnonzero(some)).tolist()
    return found[:count]


def fake_pool(prog: Program, at: int, device: int) -> None:
    """A pool that has handed out 7 pages and got 5 of them back, after 2^32 others."""
    pool = Object(prog, "struct page_pool", address=at)
    overwrite(prog, at, bytes(pool.type_.size or 0))
    put(prog, pool.pages_state_hold_cnt, 4)
    put(prog, pool.pages_state_release_cnt.counter, (1 << 32) - 3)
    put(prog, pool.p.order, 1)
    put(prog, pool.slow.netdev, device)
    if device:
        overwrite(prog, device + offsetof(prog.type("struct net_device"), "name"), b"eth0\0")


def test_pages_of_special_uses() -> None:
    whole = open_core(core("stock-6.18-quiet"))
    plain = pages_of(whole, PageKind.IN_USE, 0, 10)
    (anonymous,) = pages_of(whole, PageKind.ANONYMOUS, 0, 1)
    free = int(next(b for b in whole.pagemap.frames.free_blocks if len(b))[0])
    assert pages_of(whole, PageKind.POISONED, 0, 1) == []
    dump = allocdump.open(core("stock-6.18-quiet"))
    prog, kernel = dump.prog, dump.kernel
    spare, *rest = plain
    room = int(kernel.frame_address(np.array([spare]))[0])

    def page(pfn: int) -> Object:
        section = next(s for s in whole.pagemap.frames.sections if s.pfn <= pfn < s.pfn + s.pages)
        at = section.memmap + (pfn - section.pfn) * whole.pagemap.frames.page_size
        return Object(prog, "struct page", address=at)

    compressed, table, other, ring, second, guest, poisoned, *_ = map(page, rest)
    put(prog, compressed.page_type, prog.constant("PGTY_zsmalloc").value_() << 24)
    put(prog, table.private, room + 0xC00)
    own = int(kernel.frame_address(np.array([rest[1]]))[0])
    overwrite(prog, room + 0xC00 + 48, struct.pack("<Q", own))
    # A structure that names another page.
    put(prog, other.private, room + 0xC00)
    put(prog, prog["page_pools"].xa_head, room)
    fake_pool(prog, room, room + 0xD00)
    for one, magic in ((ring, 0xDEAD_0000_1234_0042), (second, 0xDEAD_0000_0000_0100)):
        put(prog, one.pp, room)
        put(prog, one.pp_magic, magic)
    put(prog, page(anonymous).mapping, page(anonymous).mapping.value_() | 3)
    mapping = Object(prog, "struct address_space", address=room + 0x900)
    overwrite(prog, place(mapping), bytes(mapping.type_.size or 0))
    put(prog, mapping.flags, 1 << prog.constant("AS_INACCESSIBLE").value_())
    put(prog, guest.mapping, place(mapping))
    flags = poisoned.flags.f.value_() | 1 << prog.constant("PG_hwpoison").value_()
    put(prog, poisoned.flags.f, flags)
    put(prog, page(free).page_type, prog.constant("PGTY_unaccepted").value_() << 24)
    put(prog, page(free).private, 0)
    put(prog, prog["ksm_pages_shared"], 1)
    put(prog, prog["num_poisoned_pages"].counter, 2)

    assert dump.pagemap.pools == [PagePool(room, "eth0", 14)]
    nodes = {path[-1]: node for path, node in dump.usage().walk()}
    found = {
        name: (nodes[name].bytes // PAGE, (nodes[name].counter or 0) // PAGE)
        for name in (
            "compressed memory (zram, zswap)", "secondary page tables", "eth0", "(guest_memfd)",
            "(merged by KSM)", "not accepted yet", "poisoned (hardware errors)",
        )
    }  # fmt: skip
    assert found == {
        "compressed memory (zram, zswap)": (1, 0),
        "secondary page tables": (1, 0),
        "eth0": (1, 14),
        "(guest_memfd)": (1, 0),
        "(merged by KSM)": (1, 1),
        "not accepted yet": (1024, 0),
        "poisoned (hardware errors)": (1, 2),
    }
    before = {path[-1]: node.bytes for path, node in whole.usage().walk()}
    assert nodes["memory"].bytes == before["memory"]
    assert nodes["buddy allocator"].bytes == before["buddy allocator"]
    origins = {dump.origins.file[site] for batch in dump.pages() for site in batch.site.tolist()}
    assert origins >= {"pages of zsmalloc", "secondary page tables", "pages of network rings"}


def test_kernels_without_a_table_of_page_pools() -> None:
    assert page_pools(open_core(core("stock-6.1-tmpfs")).prog).found == []
