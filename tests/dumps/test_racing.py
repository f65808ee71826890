# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a running kernel may look like in between, made of a real dump's memory."""

from __future__ import annotations

import numpy as np
import pytest

import allocdump
from allocdump.analysis.audit import Cause
from allocdump.kernel.mm.page_types import PageKind
from allocdump.kernel.mm.pages import FrameReader, Frames
from allocdump.kernel.tags.references import SiteIndex
from allocdump.session.session import Session

from ..dumpdata import core, overwrite


@pytest.fixture
def dump() -> Session:
    return allocdump.open(core("7.2-quiet"), debug_info="btf")


def reader(dump: Session) -> FrameReader:
    addresses = dump.report().sites.address
    return FrameReader(dump.kernel, SiteIndex(addresses))


def around(dump: Session, pfn: int) -> Frames:
    found = reader(dump).around(pfn)
    assert found is not None
    return found


def test_a_free_page_that_was_just_handed_out(dump: Session) -> None:
    frames = next(f for f in reader(dump) if (f.kind == PageKind.FREE_PCP).any())
    index = int(np.flatnonzero(frames.kind == PageKind.FREE_PCP)[0])
    pfn = frames.section.pfn + index
    page = dump.prog.type("struct page")
    offset = page.member("_refcount").offset
    at = frames.section.memmap + index * page.size + offset
    overwrite(dump.prog, at, (1).to_bytes(4, "little"))
    found = around(dump, pfn)
    assert found.kind[pfn - found.section.pfn] == PageKind.IN_USE


def test_a_compound_page_that_is_being_put_together(dump: Session) -> None:
    """Its order is not there yet: what is does not fit to where it lies."""
    sites = dump.report().sites
    row = int(np.flatnonzero((sites.file == "labmod.c") & (sites.line == 105))[0])
    batch = next(b for b in dump.pages() if (b.site == row).any())
    pfn = int(batch.pfn[batch.site == row][0])
    found = around(dump, pfn)
    index = pfn - found.section.pfn
    assert found.order[index] == 4
    wrong = (pfn & -pfn).bit_length()  # one more than it is aligned to
    page = dump.prog.type("struct page")
    tail = found.section.memmap + (index + 1) * page.size
    flags = dump.prog.read_u64(tail)
    overwrite(dump.prog, tail, (flags & ~0xFF | wrong).to_bytes(8, "little"))
    found = around(dump, pfn)
    assert found.order[index] == 0
    assert not (found.head == index)[index + 1 :].any()


def test_audit_of_a_site_that_moved(dump: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Freed after the counters were read, before the objects were."""
    dump.kernel.state = "running"
    sites = dump.report().sites
    row = int(np.flatnonzero((sites.file == "labmod.c") & (sites.line == 73))[0])
    moved = dump.report().moved
    assert moved is not None
    assert not moved.any()
    sites.bytes[row] += 256
    audit = dump.audit()
    assert audit.difference[row] == 256
    assert audit.cause[row] == Cause.MOVED
