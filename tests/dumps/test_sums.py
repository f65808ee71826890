# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sums over call sites against what the kernel says of its memory: no byte is counted twice."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from allocdump.kernel.machine.memory_counters import memory_counters
from allocdump.kernel.machine.vmstat import VmStat
from allocdump.kernel.machine.zones import zone_states
from allocdump.kernel.mm.page_types import PageKind
from allocdump.kernel.tags.roles import Role

from ..dumpdata import CORES_WITH_TRUTH, core, name, open_core, page_size, run, truth

NO_CHUNKS = {
    "6.12-oom", "6.12-oom-user", "7.2-oom-memcg", "7.3-before", "7.3-after", "7.3-zombie",
    "arm64-oom",
}  # fmt: skip
"""All per-CPU memory is in the first chunk, which is from boot."""

cores = pytest.mark.parametrize("path", CORES_WITH_TRUTH, ids=name)


def managed(path: Path) -> int:
    zones = zone_states(open_core(path).kernel)[0]
    return page_size(path) * sum(zone.managed for zone in zones)


def in_use(path: Path) -> int:
    """Memory that the page allocator has handed out, by the zones' own counters."""
    zones = zone_states(open_core(path).kernel)[0]
    return managed(path) - page_size(path) * sum(zone.free for zone in zones)


@cores
def test_all_sites_hold_no_more_than_the_machine_had(path: Path) -> None:
    found = re.search(r"MemTotal: +(\d+)", (path.parent / "meminfo").read_text())
    assert found
    assert managed(path) == int(found[1]) << 10
    held = json.loads(run("report", path, "--format", "json").stdout)["total"]
    assert 0 < held["bytes"] <= in_use(path)
    folded = run("report", path, "--format", "folded").stdout.splitlines()
    assert sum(int(line.rpartition(" ")[2]) for line in folded) <= in_use(path)
    shares = [row["share"] for row in csv.DictReader(io.StringIO(run(
        "report", path, "--format", "csv").stdout))]  # fmt: skip
    assert sum(float(share) for share in shares if share) == pytest.approx(1)
    for by in ("module", "directory", "file", "function"):
        groups = json.loads(run("report", path, "--format", "json", "--group-by", by).stdout)
        assert sum(row["bytes"] for row in groups["rows"]) == held["bytes"]


def test_a_machine_had_less_than_its_counters_add_up_to() -> None:
    """Else these tests would prove nothing."""
    path = core("6.12-oom-user")
    every = [int(line.split()[0]) for line in truth(path).splitlines()[2:]]
    assert sum(every) > managed(path)


@cores
def test_slab_pages_are_known_by_their_sites_as_by_memory(path: Path) -> None:
    """The role of a site says no more and no less than the pages that refer to it."""
    dump = open_core(path)
    sites, found = dump.report().sites, dump.attribution()
    by_memory = found.kinds[PageKind.SLAB][: len(sites)] > 0
    assert by_memory.any()
    assert (sites.role[by_memory] == Role.SLAB).all()
    others = found.kinds[:, : len(sites)].sum(axis=0) - found.kinds[PageKind.SLAB][: len(sites)]
    assert not others[sites.role == Role.SLAB].any()


@cores
def test_slab_pages_are_those_that_the_kernel_counts(path: Path) -> None:
    """But for large kmalloc()s, and slabs from before there were references."""
    dump = open_core(path)
    slab = memory_counters(VmStat(dump.kernel), dump.kernel.page).slab
    assert slab
    left_out = {one.role: one.bytes for one in dump.report().total().left_out}
    page = page_size(path)
    assert 0.75 * slab * page < left_out[Role.SLAB] <= slab * page
    objects = int(dump.attribution().objects.bytes.sum())
    assert 0 < objects <= left_out[Role.SLAB]


WITH_CHUNKS = [path for path in CORES_WITH_TRUTH if path.parent.name not in NO_CHUNKS]


@pytest.mark.parametrize("path", WITH_CHUNKS, ids=name)
def test_pages_of_percpu_chunks_are_known_by_their_sites_as_by_memory(path: Path) -> None:
    """The pages under each CPU's copy of an object are of sites with that role, and of no other."""
    dump = open_core(path)
    sites = dump.report().sites
    found = {
        layer.site
        for chunk in dump.pagemap.percpu_chunks
        for pointer in chunk.pointer[chunk.site >= 0].tolist()[:3]
        for offset in dump.kernel.cpus.offsets.tolist()[:2]
        for layer in dump.whois((pointer + offset) % (1 << 64)).layers
        if layer.site is not None and "pfn" in layer.detail
    }
    assert found == set(np.flatnonzero((sites.role == Role.PERCPU) & (sites.bytes > 0)).tolist())
    assert found


def test_pages_and_their_objects_are_not_both_in_a_flame_graph() -> None:
    text = run("report", core("7.3-tiny"), "--format", "folded").stdout
    assert "alloc_slab_page" not in text
    assert "pcpu_alloc_pages" not in text


def test_the_total_says_what_is_in_it() -> None:
    text = run("report", core("7.3-tiny"), "--top", "1").stdout
    assert text.splitlines()[-1] == (
        "sums count objects, not the 9.17 MiB of slab pages and 2.00 MiB of per-CPU pages"
        " that they are in"
    )


def test_a_site_of_slab_pages_is_marked_and_keeps_its_counter() -> None:
    path = core("7.3-tiny")
    document = json.loads(run("report", path, "--format", "json", "--all").stdout)
    (row,) = [row for row in document["rows"] if row["line"] == 3347]
    assert (row["role"], row["bytes"], row["share"]) == ("slab pages", 9601024, None)
    assert document["rows"].index(row) >= sum(row["bytes"] > 0 for row in document["rows"]) - 4
    text = run("report", path).stdout
    assert "slab pages: the objects in them are counted at their sites" in text
    assert {one["role"] for one in document["total"]["left_out"]} == {"slab pages", "per-CPU pages"}


def grown(path: Path, growth: dict[str, int]) -> str:
    """The kernel's own list, in which sites of some functions hold more."""
    lines = truth(path).splitlines(keepends=True)
    for i, line in enumerate(lines):
        for function, more in growth.items():
            if line.rstrip().endswith(f"func:{function}") and not line.lstrip().startswith("0 "):
                size, rest = line.split(maxsplit=1)
                lines[i] = f"{int(size) + more:>12} {rest}"
                break
    return "".join(lines)


@pytest.fixture
def leak(tmp_path: Path) -> tuple[Path, Path]:
    """Small objects leaked: their slabs grew by as much, and a little more."""
    before, after = tmp_path / "before", tmp_path / "after"
    before.write_text(truth(core("6.12-oom")))
    after.write_text(
        grown(core("6.12-oom"), {"leaker_get_rec": 190 << 20, "alloc_slab_page": 193 << 20})
    )
    return before, after


def test_diff_blames_who_allocated_the_objects(leak: tuple[Path, Path]) -> None:
    document = json.loads(run("diff", *leak, "--format", "json").stdout)
    assert document["rows"][0]["function"] == "leaker_get_rec"
    assert document["changed"]["grown"] == 190 << 20
    assert document["after"]["bytes"] - document["before"]["bytes"] == 190 << 20
    slab = [row for row in document["rows"] if row["role"] == "slab pages"]
    assert slab
    assert {row["growth"] for row in slab} == {193 << 20}
    text = run("diff", *leak, "--format", "html").stdout
    assert "Most of all grew leaker.c:33 leaker_get_rec" in text


def test_slab_pages_do_not_fail_a_test_that_their_objects_pass(leak: tuple[Path, Path]) -> None:
    assert run("diff", *leak, "--fail-over", "189M").returncode == 1
    assert run("diff", *leak, "--fail-over", "191M").returncode == 0
    for by in ("directory", "file", "function", "module"):
        assert run("diff", *leak, "--fail-over", "191M", "--group-by", by).returncode == 0, by


def test_diff_of_two_dumps_says_what_is_in_its_sums() -> None:
    text = run("diff", core("7.3-before"), core("7.3-after"), "--top", "1").stdout
    assert text.splitlines()[-1] == (
        "sums count objects, not the slab pages (3.23 MiB before, 3.24 MiB after) that they are in"
    )


def test_a_kernel_whose_slab_pages_have_an_unknown_site_is_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import allocdump
    from allocdump.kernel.tags import roles

    monkeypatch.delitem(roles._FUNCTIONS, "alloc_slab_page")
    dump = allocdump.open(core("7.3-after"), debug_info="btf")
    assert any("count slab memory twice" in warning for warning in dump.report().warnings)
    assert np.count_nonzero(dump.report().sites.role == Role.SLAB) == 0
