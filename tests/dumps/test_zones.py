# SPDX-License-Identifier: LGPL-2.1-or-later
"""Free memory of zones, and the crash kernel's, against what the kernel itself said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from allocdump.kernel.machine.system import crash_kernel
from allocdump.kernel.machine.zones import zone_states

from ..dumpdata import STOCK_CORES, core, name, open_core
from .test_triage import OOM, READABLE, USER, triage

DIED_OUT_OF_MEMORY = [OOM, USER, core("stock-7.3-pipes"), core("stock-7.3-inodes")]
_TOLERANCE = 64
"""Pages: the kernel went on between its list and its death."""


@pytest.mark.parametrize("path", READABLE + STOCK_CORES, ids=name)
def test_the_crash_kernels_reservation_is_that_in_iomem(path: Path) -> None:
    said = re.findall(
        r"([0-9a-f]+)-([0-9a-f]+) : Crash kernel", (path.parent / "iomem").read_text()
    )
    size = sum(int(end, 16) - int(start, 16) + 1 for start, end in said)
    assert crash_kernel(open_core(path).kernel) == size > 0


@pytest.mark.parametrize("path", DIED_OUT_OF_MEMORY, ids=name)
def test_free_pages_on_lists_of_cpus_are_those_in_the_log(path: Path) -> None:
    """The last list of the kernel's that has them."""
    said = re.findall(
        r"\bfree:(\d+) free_pcp:(\d+) free_cma:(\d+)", open_core(path).log.text.decode()
    )
    zones, problems = zone_states(open_core(path).kernel)
    assert not problems
    told = [
        sum(z.free for z in zones),
        sum(z.pcp or 0 for z in zones),
        sum(z.free_cma for z in zones),
    ]
    assert all(abs(a - int(b)) <= _TOLERANCE for a, b in zip(told, said[-1], strict=True))


def test_a_zone_that_is_kept_is_not_exhausted() -> None:
    """Of ZONE_DMA, all but what lowmem_reserve keeps was in use; more than min was free."""
    tables = {t.key: t for t in triage(core("stock-7.3-pipes")).sections[1].tables}
    zones = tables["zones"]
    states = {row[1]: row[-1] for row in zones.rows}
    assert states == {"DMA": "kept by lowmem_reserve", "DMA32": "exhausted"}


def test_boot_memory_is_told_without_the_crash_kernels() -> None:
    (told,) = [
        f.value.values for f in triage(core("6.12-oom")).sections[1].facts if f.key == "boot"
    ]
    assert told["crash"] == 80 << 20
    kinds = {node.name: node.bytes for node in open_core(core("6.12-oom")).usage().children}
    assert told["size"] == kinds["boot"]
    assert told["rest"] == kinds["boot"] - (80 << 20)
