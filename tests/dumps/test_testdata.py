# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bundled dumps are what their makers left, and cover what they have to."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from allocdump.source.core import identify

from ..dumpdata import CORES, CORES_WITH_TRUTH, FOLDERS, STOCK, STOCK_CORES, made, name, open_core


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_checksums(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    sums = {file.lstrip("*"): digest for digest, file in (line.split() for line in lines)}
    unpacked = {f.stem for f in folder.glob("*.zst")}
    files = {f.name for f in folder.iterdir()} - {"SHA256SUMS"} - unpacked
    assert set(sums) == files
    for file in files:
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == sums[file]


def test_coverage() -> None:
    """6.12 and 7.x, every compression, whole and damaged, all with the kernel's truth."""
    assert len(CORES_WITH_TRUTH) >= 4
    compressions = Counter(identify(core).compression for core in CORES)
    assert {"zlib", "lzo", "zstd"} <= set(compressions)
    releases = {open_core(core).origin.system.release for core in CORES_WITH_TRUTH}
    for series in ("6.12.", "7.2.", "7.3."):
        assert any(release.startswith(series) for release in releases)
    profiles = [open_core(core).origin.profiling for core in CORES_WITH_TRUTH]
    assert {p.compressed for p in profiles} == {True, False}
    configs = [made(core)["kernel"]["configs"] for core in CORES_WITH_TRUTH]
    assert any("debug" in config for config in configs)


@pytest.mark.parametrize("core", CORES + STOCK_CORES, ids=name)
def test_is_whole(core: Path) -> None:
    """And captured as its maker noted."""
    found = identify(core)
    assert found.missing_bytes == 0
    assert not found.incomplete
    (noted,) = (dump for dump in made(core)["dumps"] if dump["name"] == core.name)
    assert (found.dump_level, found.compression) == (noted["level"], noted["compression"])


@pytest.mark.parametrize("folder", STOCK, ids=lambda f: f.name)
def test_stock_kernels_reports(folder: Path) -> None:
    """What they said of themselves just before is beside the dump, and no profile is."""
    reports = ["meminfo", "slabinfo", "vmallocinfo", "zoneinfo", "buddyinfo", "vmstat", "iomem"]
    for report in [*reports, "modules", "swaps", "cgroups", "tasks", "df"]:
        assert (folder / report).stat().st_size > 0
    assert (folder / "meminfo").read_text().startswith("MemTotal:")
    assert "Kernel panic - not syncing: " in (folder / "console.txt").read_text()
    assert not list(folder.glob("*alloc*.*"))
