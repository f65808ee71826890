# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a running kernel may look like in between, made of a real dump's memory."""

from __future__ import annotations

import numpy as np
import pytest
from drgn import sizeof

import allocdump
from allocdump.analysis.audit import Cause
from allocdump.analysis.leaks import Earlier, Leaks, leaks
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
    at = frames.section.memmap + index * sizeof(page) + offset
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
    tail = found.section.memmap + (index + 1) * sizeof(page)
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


def lost(found: Leaks) -> dict[str, tuple[int, str]]:
    """Lost allocations and confidence of each site."""
    columns = (found.lost.site, found.lost.allocations, found.lost.confidence)
    place = found.graph.sites.place
    return {place(site): (int(n), str(sure)) for site, n, sure in zip(*columns, strict=True)}


@pytest.fixture
def leaky() -> Session:
    return allocdump.open(core("7.3-after"), debug_info="btf")


def test_one_reading_of_a_running_kernel_is_no_proof(leaky: Session) -> None:
    reach, sites = leaky.reach(), leaky.origins
    assert lost(leaks(reach, sites))["leaker.c:44"][1] == "certain"
    once = lost(leaks(reach, sites, moving=True))
    assert once["leaker.c:44"][1] == "possible"
    assert {sure for _, sure in once.values()} <= {"possible", "expected"}


def test_two_readings_that_agree_are_as_good_as_a_dump(leaky: Session) -> None:
    dead = lost(leaky.leaks())
    leaky.kernel.state = "running"
    assert lost(leaky.leaks()) == dead


def test_what_moves_between_two_readings_is_not_lost(
    leaky: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of a leaker that in the first reading are lost, and in the second belong to another."""
    sites = leaky.report().sites
    first = Earlier.of(leaky.reach(), sites)
    tag = sites.address[sites.line == 44][sites.file[sites.line == 44] == "leaker.c"][0]
    mine = np.flatnonzero(first.tag == tag)
    assert len(mine) > 1000
    moved = first.tag.copy()
    moved[mine[5:]] = sites.address[0]
    monkeypatch.setattr(Session, "_earlier", lambda *_: Earlier(first.address, moved))
    leaky.kernel.state = "running"
    assert lost(leaky.leaks())["leaker.c:44"] == (5, "possible")
    nothing = np.zeros(0, np.uint64)
    monkeypatch.setattr(Session, "_earlier", lambda *_: Earlier(nothing, nothing))
    assert lost(leaky.leaks()) == {}


def test_triage_of_a_running_kernel_blames_no_lost_memory(leaky: Session) -> None:
    from allocdump.session.evidence import investigate

    assert any(one.lost_bytes for one in investigate(leaky).lost or [])
    leaky.kernel.state = "running"
    case = investigate(leaky)
    assert not case.lost
    assert case.gaps == ["leaks cannot be told while the kernel runs: pause the guest"]
    assert any("reads twice" in sentence for sentence in case.missing)
