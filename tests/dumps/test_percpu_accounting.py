# SPDX-License-Identifier: LGPL-2.1-or-later
"""How kernels count per-CPU memory: what audit says, against what a module recorded that it got."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from allocdump.analysis.audit import PerCpuAccounting

from ..dumpdata import CORES_WITH_TRUTH, name, open_core, recorded, truth


def recorded_percpu(path: Path) -> Counter[int]:
    """Bytes of one copy by line of labmod.c; the module knows nothing of any counter."""
    if not (path.parent / "truth.allocations").exists():
        return Counter()
    sizes: Counter[int] = Counter()
    for kind, _, size, line, state, _, module in recorded(path):
        if (kind, state, module) == ("percpu", "live", "labmod"):
            sizes[line] += size
    return sizes


def counted(path: Path, line: int) -> int:
    """Bytes of a site of labmod.c, in the kernel's own list."""
    found = [text for text in truth(path).splitlines() if f" labmod.c:{line} [labmod]" in text]
    return sum(int(text.split()[0]) for text in found)


WITH_PERCPU = [path for path in CORES_WITH_TRUTH if recorded_percpu(path)]


@pytest.mark.parametrize("path", WITH_PERCPU, ids=name)
def test_it_is_found_out_from_the_dump(path: Path) -> None:
    """A kernel that counted more than the module got has counted other CPUs' copies, too.

    Allocations in the first chunk are not counted, so only more tells.
    """
    lines = recorded_percpu(path)
    more = sum(counted(path, line) for line in lines) > sum(lines.values())
    wanted = PerCpuAccounting.ALL_COPIES if more else PerCpuAccounting.ONE_COPY
    assert open_core(path).audit().accounting == wanted


def test_both_kinds_of_kernels_are_among_the_dumps() -> None:
    """And no release number is asked: the same code reads both."""
    assert len(WITH_PERCPU) >= 6
    kinds = {open_core(path).audit().accounting for path in WITH_PERCPU}
    assert kinds == set(PerCpuAccounting)


@pytest.mark.parametrize("path", CORES_WITH_TRUTH, ids=name)
def test_nothing_is_said_where_no_site_tells(path: Path) -> None:
    dump = open_core(path)
    if not dump.attribution().percpu.bytes.any():
        assert dump.audit().accounting is None
