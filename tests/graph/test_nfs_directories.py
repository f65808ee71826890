# SPDX-License-Identifier: LGPL-2.1-or-later
"""Page cache with pointers in it. No bundled dump has NFS: tmpfs and its files stand for it."""

from __future__ import annotations

import numpy as np
import pytest
from drgn import Object

import allocdump
from allocdump.analysis.reach import Verdict, reach
from allocdump.graph import nfs_directories
from allocdump.graph.build import HeapBuilder
from allocdump.graph.edges import Graph, read_graph
from allocdump.graph.nfs_directories import NfsDirectories
from allocdump.kernel.mm.page_types import PageKind
from allocdump.kernel.mm.pagemap import PageMap
from allocdump.session import Session
from tests.dumpdata import core, exclude, open_core


@pytest.fixture(autouse=True)
def as_if(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nfs_directories, "_FILE_SYSTEMS", (b"tmpfs", b"rootfs", b"devtmpfs"))
    monkeypatch.setattr(nfs_directories, "_S_IFDIR", 0o100000)


def folios(dump: Session) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mapping, address and size of those of tmpfs."""
    pagemap, mapping, pfn = dump.pagemap, [], []
    for part in pagemap:
        frames = part.frames
        rows = np.flatnonzero((frames.kind == PageKind.SHMEM) & frames.is_head)
        mapping.append(frames.raw["mapping"][rows])
        pfn.append(frames.pfn[rows])
    address = (np.concatenate(pfn).astype(np.uint64) << np.uint64(12)) + np.uint64(
        pagemap.kernel.direct_map
    )
    return np.concatenate(mapping), address, np.full(len(address), 4096, np.int64)


def test_folios_are_chosen_by_file_system_and_kind_of_file() -> None:
    dump = open_core(core("7.2-quiet"))
    mapping, address, size = folios(dump)
    found = NfsDirectories(dump.kernel)
    found.collect(mapping, address, size)
    wanted = []
    for place, at in zip(mapping.tolist(), address.tolist(), strict=True):
        host = Object(dump.prog, "struct address_space *", place).host
        regular = host.i_mode.value_() & 0o170000 == 0o100000
        if regular and host.i_sb.s_type.name.string_() in (b"tmpfs", b"rootfs", b"devtmpfs"):
            wanted.append(at)
    assert len(wanted) > 100
    assert found._address == wanted
    assert not found.problems


def graph_with(dump: Session, address: int) -> Graph:
    pagemap = PageMap(dump.kernel, dump.sites)
    sites = pagemap.origins.names(dump.sites)
    builder = HeapBuilder(pagemap, sites.role)
    pagemap.show(builder)
    builder.nfs._address, builder.nfs._size = [address], [4096]
    return read_graph(builder, sites)


def test_what_a_directory_points_at_is_held() -> None:
    dump = allocdump.open(core("7.2-quiet"), debug_info="btf")
    sites = dump.origins
    _, address, _ = folios(dump)
    before = graph_with(dump, int(address[5]))
    name = np.flatnonzero(
        (sites.function[before.nodes.site] == "__kmemdup_nul")
        & (reach(before).verdict != Verdict.HELD)
    )
    assert len(name) == 1
    page = bytes(48) + int(before.nodes.address[name[0]]).to_bytes(8, "little") + bytes(4040)
    dump.prog.add_memory_segment(
        int(address[5]), 4096, lambda address, count, offset, physical: page[offset:][:count]
    )
    assert reach(graph_with(dump, int(address[5]))).verdict[name[0]] == Verdict.HELD


def test_names_are_undecided_where_a_directory_is_not_in_the_dump() -> None:
    dump = allocdump.open(core("7.2-quiet"), debug_info="btf")
    sites = dump.origins
    _, address, _ = folios(dump)
    exclude(dump.prog, int(address[5]))
    found = reach(graph_with(dump, int(address[5])))
    undecided = found.verdict == Verdict.UNDECIDED
    assert set(sites.function[found.graph.nodes.site[undecided]]) == {"__kmemdup_nul"}
    assert not found.reasons
    assert (found.verdict == Verdict.LOST).sum() > 1000
