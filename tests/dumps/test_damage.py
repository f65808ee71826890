# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real dumps with memory taken out of them: every fact has a second way to it."""

from __future__ import annotations

import pytest
from drgn import FaultError, Program
from drgn.helpers.linux.idr import idr_for_each

import allocdump
from allocdump.analysis.report import Report
from allocdump.kernel.tags.sites import UNKNOWN
from allocdump.session.session import Session

from ..dumpdata import core, exclude, open_core


@pytest.fixture
def dump() -> Session:
    return allocdump.open(core("7.2-quiet", "vmcore.d31"))


def idr_node(prog: Program) -> int:
    return int(prog["alloc_tag_cttype"].mod_idr.idr_rt.xa_head.value_()) & ~3


def maple_node(prog: Program) -> int:
    return int(prog["mod_area_mt"].ma_root.value_()) & ~0xFF


def rows(report: Report) -> list[tuple[int | str, ...]]:
    s = report.sites
    return sorted(
        zip(
            s.address.tolist(), s.file, s.line.tolist(), s.function, s.module,
            s.bytes.tolist(), s.calls.tolist(), s.unloaded.tolist(), strict=True,
        )
    )  # fmt: skip


def test_makedumpfile_1_7_8_took_the_idr_away(dump: Session) -> None:
    """As it is in the bundled dump: drgn's helper dies, the report is the same."""
    idr = dump.prog["alloc_tag_cttype"].mod_idr.address_of_()
    with pytest.raises(FaultError, match="Excluded page"):
        list(idr_for_each(idr))
    assert rows(dump.report()) == rows(open_core(core("7.2-quiet")).report())


def test_without_the_idr(dump: Session) -> None:
    """The same report in the same order, and the cause is named."""
    whole = open_core(core("7.2-quiet")).report()
    exclude(dump.prog, idr_node(dump.prog))
    report = dump.report()
    assert rows(report) == rows(whole)
    assert report.sites.address.tolist() == whole.sites.address.tolist()
    assert report.completeness.complete
    assert any("makedumpfile up to 1.7.9" in w and "-d 23" in w for w in report.warnings)


def test_without_idr_and_maple_tree(dump: Session) -> None:
    exclude(dump.prog, idr_node(dump.prog))
    exclude(dump.prog, maple_node(dump.prog))
    report = dump.report()
    assert rows(report) == rows(open_core(core("7.2-quiet")).report())
    assert any("mod_area_mt" in w for w in report.warnings)


def test_without_idr_maple_tree_and_module_list(dump: Session) -> None:
    """Modules are then told apart in the tags area: strings of loaded ones are readable."""
    exclude(dump.prog, idr_node(dump.prog))
    exclude(dump.prog, maple_node(dump.prog))
    exclude(dump.prog, dump.prog["modules"].next.value_())
    report = dump.report()
    assert rows(report) == rows(open_core(core("7.2-quiet")).report())


def test_without_cttype(dump: Session) -> None:
    exclude(dump.prog, dump.prog["alloc_tag_cttype"].value_())
    report = dump.report()
    assert report.completeness.expected is None
    assert rows(report) == rows(open_core(core("7.2-quiet")).report())


def test_missing_tags_are_counted(dump: Session) -> None:
    prog = dump.prog
    start = prog.symbol("__start_alloc_tags").address
    exclude(prog, start)
    lost = ((start | 4095) + 1 - start + 39) // 40
    report = dump.report()
    assert report.completeness.unnamed == lost
    assert report.completeness.uncounted == lost
    assert not report.completeness.complete
    assert (report.sites.file == UNKNOWN).sum() == lost
    assert (report.sites.bytes[:lost] == 0).all()


def test_missing_counters_are_counted(dump: Session) -> None:
    whole = open_core(core("7.2-quiet")).report()
    prog = dump.prog
    cpu0 = prog["__per_cpu_offset"][0].value_()
    tags = prog.symbol("__start_alloc_tags").address
    first = prog.read_u64(tags + 32)
    exclude(prog, (first + cpu0) % (1 << 64))
    report = dump.report()
    assert 0 < report.completeness.uncounted <= 4096 // 16 + 1
    counted = report.sites.evidence == 0
    assert (report.sites.bytes[counted] == whole.sites.bytes[counted]).all()
    assert (~counted).sum() == report.completeness.uncounted


def test_missing_strings_are_counted(dump: Session) -> None:
    prog = dump.prog
    filename = prog.read_u64(prog.symbol("__start_alloc_tags").address + 24)
    exclude(prog, filename)
    report = dump.report()
    assert report.completeness.unnamed > 0
    assert (report.sites.file == UNKNOWN).sum() > 0
    assert report.completeness.uncounted == 0


def test_a_module_list_in_circles_ends(dump: Session) -> None:
    prog = dump.prog
    exclude(prog, idr_node(prog))
    first = prog["modules"].next.value_()
    page = bytearray(prog.read(first & ~4095, 4096))
    page[first & 4095 : (first & 4095) + 8] = first.to_bytes(8, "little")
    prog.add_memory_segment(
        first & ~4095, 4096, lambda address, count, offset, physical: bytes(
            page[offset : offset + count]
        )
    )  # fmt: skip
    report = dump.report()
    assert any("in circles" in w for w in report.warnings)


def test_a_second_pass_finds_as_much_missing() -> None:
    dump = allocdump.open(core("7.2-quiet", "vmcore.d31"))
    first = dump.attribution().problems
    dump.survey(graph=False)
    assert dump.attribution().problems == first
