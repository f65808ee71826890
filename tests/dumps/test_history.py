# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mistakes that the kernel has had, put back by a module; kmemleak, which searched just before the
crash, is the judge."""

from __future__ import annotations

import re

import numpy as np
import pytest

from allocdump.analysis.keepers import reached_from
from allocdump.analysis.leaks import leaks
from allocdump.analysis.reach import Verdict
from allocdump.arrays import I32, U64
from allocdump.session import Session
from allocdump.view.sentence import text

from ..dumpdata import core, open_core, recorded

HISTORY = core("7.3-history")
REPORTED = re.compile(r"^unreferenced object 0x([0-9a-f]+) \(size \d+\):$", re.MULTILINE)
SITES = {
    "open_session",  # an error path frees a structure, but not its buffer
    "history_net_init",  # a network name space goes, and what belongs to it stays
    "__alloc_skb", "kmalloc_reserve",  # a queue is freed with packets in it
    "alloc_empty_file", "prepare_creds",  # fget() without fput(): a file, and its credentials
    "__d_alloc", "alloc_inode",  # dget() without dput(): the name of a pipe, and its inode
}  # fmt: skip
GO_WITH_THEM = {"xas_alloc", "__get_vm_area_node"}
"""Of an XArray and of vmalloc areas that `reach` loses."""


@pytest.fixture
def dump() -> Session:
    return open_core(HISTORY)


def nodes_of(dump: Session, addresses: list[int]) -> I32:
    pointers = dump.reach().graph.scanner.pointers
    found: U64 = np.array(addresses, np.uint64)
    return pointers.whole(found)


def test_all_that_kmemleak_reports_is_lost(dump: Session) -> None:
    """But what a page holds: kmemleak does not look into pages."""
    reported = [int(a, 16) for a in REPORTED.findall((HISTORY.parent / "kmemleak").read_text())]
    assert len(reported) > 600
    node = nodes_of(dump, reported)
    assert (node >= 0).all()
    found = dump.reach()
    others = node[found.verdict[node] != Verdict.LOST]
    assert set(dump.origins.function[found.graph.nodes.site[others]]) <= {"hold_in_page"}
    assert len(others) < 48


def test_every_mistake_is_found(dump: Session) -> None:
    found = dump.reach()
    records = [r for r in recorded(HISTORY) if r[6] == "history"]
    lost = nodes_of(dump, [r[1] for r in records if r[4] == "lost"])
    assert len(lost) == 24 + 2 * 24 + 8 + 8 + 2 * 8
    assert (found.verdict[lost] == Verdict.LOST).all()
    assert set(dump.origins.function[found.graph.nodes.site[lost]]) == SITES - {"prepare_creds"}
    # A name space that nobody gives back is on the list of all: it is held.
    held = nodes_of(dump, [r[1] for r in records if r[4] == "held"])
    assert (found.verdict[held] == Verdict.HELD).all()


def test_nothing_else_is_called_lost(dump: Session) -> None:
    """All hangs on what the modules lost, and is of the sites that it should be."""
    found = dump.reach()
    recorded_ = [r[1] for r in recorded(HISTORY) if r[4] == "lost" or r[6] == "leaked"]
    known = nodes_of(dump, recorded_)
    known = known[found.verdict[known] == Verdict.LOST]
    lost = found.verdict == Verdict.LOST
    from_them = reached_from(found, known, np.zeros(len(lost), np.bool_))
    assert (from_them[lost] >= 0).all()
    site = np.unique(found.graph.nodes.site[lost])
    core_ = site[dump.origins.module[site] == ""]
    own = {"open_session", "history_net_init"}
    assert set(dump.origins.function[core_]) == (SITES | GO_WITH_THEM) - own


def test_the_sites_lead(dump: Session) -> None:
    """What is lost with something else stands below it; triage names what is proven."""
    lost = leaks(dump.reach(), dump.origins).lost
    function = {int(s): str(dump.origins.function[s]) for s in lost.site}
    chief = {function[int(s)]: function[int(c)] for s, c in zip(lost.site, lost.chief, strict=True)}
    assert chief["prepare_creds"] == chief["alloc_empty_file"] == "alloc_empty_file"
    assert chief["kmalloc_reserve"] == chief["__alloc_skb"] == "__alloc_skb"
    assert chief["alloc_inode"] == chief["__d_alloc"] == "alloc_inode"
    certain = {function[int(s)] for s in lost.site[lost.confidence == "certain"]}
    assert "open_session" in certain
    titles = [text(suspect.title) for suspect in dump.triage().suspects]
    assert any("in module history (history.c:39, open_session)" in title for title in titles)
