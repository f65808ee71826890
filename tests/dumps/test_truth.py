# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reports against what the kernel itself said in the moment of the crash."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from allocdump.analysis.site_groups import GroupBy
from allocdump.formats import allocinfo
from allocdump.kernel.tags.sites import Provenance

from ..dumpdata import CORES_WITH_TRUTH, name, open_core, process, truth


def console(core: Path) -> str:
    return (core.parent / "console.txt").read_text(errors="replace")


OWN_LIST = "Memory allocations:"
KILLED = [c for c in CORES_WITH_TRUTH if OWN_LIST in console(c)]

cores = pytest.mark.parametrize("core", CORES_WITH_TRUTH, ids=name)


@cores
def test_allocinfo_is_byte_for_byte_the_kernels(core: Path) -> None:
    done = process("report", core, "--format", "allocinfo")
    assert done.returncode == 0
    assert done.stdout == truth(core)


@cores
def test_every_registered_site_is_read(core: Path) -> None:
    report = open_core(core).report()
    assert report.completeness.complete
    registered = ~report.sites.unloaded
    assert (report.sites.evidence[registered] == Provenance.COUNTER).all()
    lines = truth(core).splitlines()[2:]
    assert registered.sum() == len(lines)
    assert report.sites.bytes[registered].sum() == sum(int(line.split()[0]) for line in lines)


@cores
def test_groups_sum_to_the_whole(core: Path) -> None:
    report = open_core(core).report()
    whole = report.total()
    ways: tuple[GroupBy, ...] = ("function", "file", "directory", "module")
    for by in ways:
        groups = report.by(by)
        assert len({group.labels for group in groups}) == len(groups)
        sums = (groups.total("bytes"), groups.total("calls"), sum(group.sites for group in groups))
        assert sums == (whole.bytes, whole.calls, whole.added)


@cores
def test_unloaded_module_is_named_with_what_it_left(core: Path) -> None:
    """The kernel logged each site's bytes when the module went."""
    report = open_core(core).report()
    logged = {
        (file, int(line), module, function, int(size))
        for file, line, module, function, size in re.findall(
            r"(\S+):(\d+) module (\S+) func:(\S+) has (\d+) allocated at module unload",
            console(core),
        )
    }
    gone = report.sites.take(report.sites.unloaded)
    columns = (gone.file, gone.line.tolist(), gone.module, gone.function, gone.bytes.tolist())
    assert set(zip(*columns, strict=True)) == logged
    with_them = allocinfo.render("", report.sites)
    assert sum("[leaked]" in line for line in with_them) == len(logged)


def test_there_are_machines_that_ran_out_of_memory() -> None:
    assert len(KILLED) >= 2


@pytest.mark.parametrize("core", KILLED, ids=name)
def test_the_out_of_memory_killers_own_top_ten(core: Path) -> None:
    """The kernel prints its ten largest sites when it kills; sizes have three digits."""
    tail = console(core).rpartition(OWN_LIST)[2]
    pattern = re.compile(r"([\d.]+) (B|KiB|MiB|GiB) +(\d+) (\S+) (?:\[(\S+)\] )?func:(\S+)")
    logged = [m.groups() for m in map(pattern.search, tail.splitlines()[1:11]) if m]
    assert len(logged) == 10
    sites = open_core(core).report().sites
    held = {
        (f"{file}:{line}", module, function): (size, calls)
        for file, line, module, function, size, calls in zip(
            sites.file, sites.line.tolist(), sites.module, sites.function,
            sites.bytes.tolist(), sites.calls.tolist(), strict=True,
        )
    }  # fmt: skip
    units = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
    for number, unit, calls, where, module, function in logged:
        size, count = held[where, module or "", function]
        digits = len(number.partition(".")[2])
        assert abs(size / units[unit] - float(number)) <= 0.5001 * 10**-digits + 0.01
        assert count == int(calls)
