# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Python API on real dumps: tables as arrays, and as data frames of pandas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import allocdump

from .dumpdata import CORES_WITH_TRUTH, core, name, open_core, truth

WHOLE = [c for c in CORES_WITH_TRUTH if c.suffix != ".d31"]
whole_dumps = pytest.mark.parametrize("path", WHOLE, ids=name)
QUIET = core("7.2-quiet")


@whole_dumps
def test_report(path: Path) -> None:
    report = open_core(path).report()
    columns = report.to_dict()
    assert columns["bytes"] is report.sites.bytes
    registered = ~columns["unloaded"]
    sizes = [int(line.split()[0]) for line in truth(path).splitlines()[2:]]
    assert columns["bytes"][registered].tolist() == sizes
    assert {len(column) for column in columns.values()} == {len(report.sites)}


def test_report_by_module() -> None:
    by = open_core(QUIET).report().by("module")
    sizes = {group.labels[0]: group.sums["bytes"] for group in by}
    kernels = [line.split() for line in truth(QUIET).splitlines()[2:]]
    assert sizes["labmod"] == sum(
        int(size) for size, _, _, third, *_ in kernels if third == "[labmod]"
    )
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)
    total = open_core(QUIET).report().total()
    assert by.to_dict()["sites"].sum() == total.added
    assert by.to_dict()["bytes"].sum() == by.total("bytes") == total.bytes
    assert by.to_dict()["module"].tolist() == list(sizes)


@whole_dumps
def test_pages_and_objects(path: Path) -> None:
    dump = open_core(path)
    audit = dump.audit()
    for batches in (dump.pages(), dump.objects()):
        whole = batches.whole()
        again = [batch.to_dict()["site"] for batch in batches]
        assert whole.site.tolist() == np.concatenate(again).tolist()
        assert batches.to_dict().keys() == whole.to_dict().keys()
    pages, objects = dump.pages().whole(), dump.objects().whole()
    tagged = dump.origins.tagged
    pages = pages.take((pages.site >= 0) & (pages.site < tagged))
    held = np.bincount(pages.site, pages.pages * dump.kernel.page.bytes, len(audit))
    assert (held == audit.pages + audit.inferred).all()
    of_tags = (objects.site >= 0) & (objects.site < tagged)
    slab = objects.take(of_tags & (objects.cache >= 0))
    held = np.bincount(slab.site, slab.size, len(audit))
    assert (held == audit.objects).all()


@whole_dumps
def test_audit(path: Path) -> None:
    columns = open_core(path).audit().to_dict()
    parts = sum(columns[part] for part in ("pages", "inferred", "objects", "percpu"))
    assert (columns["memory"] == parts).all()
    assert (columns["difference"] == columns["counter"] - columns["memory"]).all()


@whole_dumps
def test_usage(path: Path) -> None:
    root = open_core(path).usage()
    tree = root.to_dict()
    assert tree["path"][0] == tree["name"][0] == "memory"
    assert (tree["bytes"][0], tree["level"][0]) == (root.bytes, 0)
    for level in range(3):
        of_level = tree["level"] == level
        leaves = [len(node.children) == 0 for _, node in root.walk()]
        above = tree["bytes"][of_level & ~np.array(leaves)].sum()
        assert tree["bytes"][tree["level"] == level + 1].sum() == above
    free = tree["path"].tolist().index("memory > free > buddy allocator")
    assert tree["bytes"][free] == tree["counter"][free]
    assert tree["counter"][tree["name"] == "boot"].tolist() == [-1]


def test_data_frames() -> None:
    pytest.importorskip("pandas")
    dump = open_core(QUIET)
    sites = dump.report().to_pandas()
    assert sites.bytes.sum() == dump.report().sites.bytes.sum()
    assert sites.loc[sites.module == "labmod", "line"].tolist()[-1] == 56
    pages = dump.pages().to_pandas().merge(sites, left_on="site", right_index=True)
    assert pages[pages.module == "labmod"].groupby("function").pages.sum()["labmod_pages"] == 448
    objects = dump.objects().to_pandas()
    assert len(objects) == sum(len(batch) for batch in dump.objects())
    both = sites.merge(
        dump.audit().to_pandas(), left_index=True, right_index=True, suffixes=("", "_found")
    )
    assert (both.counter == both.bytes).all()
    usage = dump.usage().to_pandas()
    assert usage.bytes[0] == usage[usage.level == 1].bytes.sum()


def test_pandas_is_never_loaded_but_for_data_frames() -> None:
    code = """
import sys, allocdump
sys.modules["pandas"] = None
dump = allocdump.open(sys.argv[1])
dump.report().to_dict(), dump.usage().to_dict(), dump.audit().to_dict(), dump.pages().to_dict()
try:
    dump.usage().to_pandas()
except allocdump.errors.ExtraError as e:
    print(e)
"""
    command = [sys.executable, "-c", code, str(QUIET)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("This needs the Python library pandas")
    assert done.stdout.count("\n") == 1


def test_from_program() -> None:
    dump = open_core(QUIET)
    same = allocdump.from_program(dump.prog)
    assert same is not dump
    assert same.prog is dump.prog
    assert (same.report().sites.bytes == dump.report().sites.bytes).all()
    assert same.origin.types == "btf"
    assert same.core.endswith("7.2-quiet/vmcore (kdump, zstd, -d 23)")
