# SPDX-License-Identifier: LGPL-2.1-or-later
"""Known bugs: which kernels have them, and what shows that they did something."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import allocdump
from allocdump.analysis.audit import Cause
from allocdump.analysis.vectors import VectorCycles, in_circles
from allocdump.kernel.bugs import Bug, tags_beyond_index
from allocdump.kernel.layouts import ModuleCounters
from allocdump.kernel.mm.slab import Slabs
from allocdump.kernel.tags.sites import Provenance
from allocdump.session import Session
from allocdump.session.evidence import investigate
from allocdump.triage.known_bugs import known_bugs_table

from ..dumpdata import CORES, core, name, open_core
from ..hostile.damage import Overlay
from ..renamed.names import Name, renamed

OF = {
    "6.12-debug/vmcore": {Bug.MIGRATED},
    "6.12-oom/vmcore": {Bug.MIGRATED},
    "6.12-oom-user/vmcore": {Bug.MIGRATED},
    "6.12-reach/vmcore": {Bug.MIGRATED},
    "7.2-quiet/vmcore.d31": {Bug.TAIL_PAGES},
}
"""Bundled dumps whose kernels have bugs; all others have none."""
WITH_TYPES = [path for path in CORES if path.parent.name != "tiny-noprofiling"]


def test_every_bug_says_what_it_is() -> None:
    for bug in Bug:
        assert bug.value.title
        assert bug.value.effect
        assert re.fullmatch(r"([0-9a-f]{12})?", bug.value.commit)
        assert bool(bug.value.commit) == bool(bug.value.subject)


@pytest.mark.parametrize("path", WITH_TYPES, ids=name)
def test_bugs_of_bundled_dumps(path: Path) -> None:
    assert open_core(path).bugs == OF.get(name(path), set())


def rows(dump: Session) -> dict[str, tuple[object, object]]:
    """Bytes and count of each bug that triage names."""
    table = known_bugs_table(investigate(dump))
    return {str(row[2]): (row[0], row[1]) for row in table.rows}


def test_migrated_pages() -> None:
    dump = open_core(core("6.12-oom-user"))
    audit = dump.audit()
    (row,) = np.flatnonzero(audit.cause == Cause.MIGRATED).tolist()
    assert dump.sites.function[row] == "compaction_alloc"
    left = int(audit.difference[row])
    assert left % 4095 == 0
    assert rows(dump) == {Bug.MIGRATED.value.title: (left, 1)}
    assert rows(open_core(core("6.12-oom"))) == {Bug.MIGRATED.value.title: (0, 0)}
    assert rows(open_core(core("7.2-oom-memcg"))) == {}


def kmalloc_slabs(dump: Session) -> list[tuple[int, int]]:
    """``struct slab`` and memory of slabs with a vector of their own."""
    found: list[tuple[int, int]] = []
    pagemap = dump.pagemap
    for part in pagemap:
        slabs: Slabs = part.slabs
        section = part.frames.section
        for row in np.flatnonzero((slabs.vector != 0) & (slabs.cache >= 0)).tolist():
            offset = (int(slabs.pfn[row]) - section.pfn) * pagemap.frames.page_size
            found.append((section.memmap + offset, int(slabs.address[row])))
    return found


def test_vectors_of_one_another() -> None:
    assert open_core(core("6.12-oom-user")).attribution().cycles == VectorCycles()
    dump = allocdump.open(core("6.12-oom-user"))
    with renamed(Name("enumerator", "KMALLOC_NO_OBJ_EXT")):
        assert dump.bugs == {Bug.MIGRATED}, "there is another type of caches all the same"
    dump.bugs |= {Bug.VECTOR_CYCLES, Bug.MIGRATED_TAGS}
    (one, at), (other, there) = kmalloc_slabs(open_core(core("6.12-oom-user")))[:2]
    member = dump.prog.type("struct slab").member("obj_exts").offset
    over = Overlay(dump.prog)
    # The low bit but one: a vector, not pointers to memory cgroups.
    over.write(one + member, (there | 4).to_bytes(8, "little"))
    over.write(other + member, (at | 4).to_bytes(8, "little"))
    cycles = dump.attribution().cycles
    assert cycles.slabs == 2
    assert cycles.bytes % 4096 == 0
    seen = rows(dump)
    assert seen[Bug.VECTOR_CYCLES.value.title] == (cycles.bytes, 2)
    (row,) = np.flatnonzero(dump.sites.function == "compaction_alloc").tolist()
    counted = int(dump.sites.bytes[row]), int(dump.sites.calls[row])
    assert seen[Bug.MIGRATED_TAGS.value.title] == counted


@pytest.mark.parametrize(
    ("follows", "inside"),
    [
        ([], []),
        ([1], [False]),  # none
        ([1, 0], [True, True]),
        ([1, 2, 3], [False, False, False]),
        ([1, 2, 1, 4], [False, True, True, False]),
        ([1, 2, 0, 0, 5], [True, True, True, False, False]),
    ],
)
def test_circles(follows: list[int], inside: list[bool]) -> None:
    assert in_circles(np.array(follows, np.intp)).tolist() == inside


def test_counters_that_unloading_frees() -> None:
    before = open_core(core("7.2-quiet")).report().sites
    dump = allocdump.open(core("7.2-quiet"))
    dump.kernel.layouts._found[ModuleCounters] = ModuleCounters.STATIC
    assert dump.bugs == {Bug.MODULE_COUNTERS}
    after = dump.report().sites
    assert after.unloaded.any()
    assert set(after.evidence[after.unloaded]) == {Provenance.KERNEL_LOG}
    assert after.bytes[after.unloaded].tolist() == before.bytes[before.unloaded].tolist()
    count = int(np.count_nonzero(after.unloaded))
    assert rows(dump) == {Bug.MODULE_COUNTERS.value.title: (None, count)}


def test_tags_that_page_flags_cannot_name() -> None:
    whole = open_core(core("7.3-compressed"))
    with pytest.raises(LookupError):
        tags_beyond_index(open_core(core("stock-6.12-quiet")).kernel)
    dump = allocdump.open(core("7.3-compressed"))
    count = dump.prog["kernel_tags"].count.value_()
    mask = 255
    at = dump.prog.symbol("alloc_tag_ref_mask").address
    Overlay(dump.prog).write(at, mask.to_bytes(8, "little"))
    assert dump.bugs == {Bug.UNNAMED_TAGS}
    start, end = tags_beyond_index(dump.kernel)
    assert end - start == (count - (mask + 1 - 2)) * 40
    audit, addresses = dump.audit(), dump.sites.address
    last = (addresses >= start) & (addresses < end)
    named = audit.cause == Cause.UNNAMED_TAG
    assert named.any()
    assert not (named & ~last).any()
    assert ((audit.difference > 0) & last == named).all()
    assert not (whole.audit().cause == Cause.UNNAMED_TAG).any()
