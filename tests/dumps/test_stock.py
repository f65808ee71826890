# SPDX-License-Identifier: LGPL-2.1-or-later
"""Triage of kernels as distributions ship them, without a profile: the right verdict or none."""

import pytest

from allocdump.session.evidence import investigate
from allocdump.triage.shortage import Shortage, shortage
from allocdump.view.sentence import text

from ..dumpdata import STOCK_CORES, core, made, name, open_core

QUIET = [path for path in STOCK_CORES if "quiet" in made(path)["scenario"]]
SHORT = [path for path in STOCK_CORES if path not in QUIET]


def triage(folder):
    return open_core(core(folder)).triage()


@pytest.mark.parametrize("path", QUIET, ids=name)
def test_a_machine_that_was_well(path):
    page = open_core(path).triage()
    assert not any(suspect.cause for suspect in page.suspects)
    assert text(page.verdict).startswith("memory was not short: ")


@pytest.mark.parametrize("path", SHORT, ids=name)
def test_the_machine_was_out_of_memory(path):
    """A little was left in ZONE_DMA, which is no memory elsewhere."""
    assert shortage(investigate(open_core(path))) == Shortage.MACHINE


def test_inodes():
    """A task made empty files on /scratch until memory was full."""
    page = triage("stock-7.3-inodes")
    (first,) = page.suspects
    assert (first.rule, first.confidence.words, first.cause) == (
        "large_caches",
        "very likely",
        True,
    )
    assert text(page.verdict) == (
        "slab cache shmem_inode_cache holds 34.2 MiB in 50,351 objects, 43.1% of managed memory"
        " (very likely)"
    )
    assert [text(sentence) for sentence in first.evidence] == [
        "as many objects are in dentry: 51,017 objects, 9.51 MiB",
        "as many objects are in lsm_inode_cache: 51,049 objects, 4.34 MiB",
        "together 48.1 MiB, 60.6% of managed memory",
        "most files in memory: tmpfs /scratch, 49,932 files",
        "memory cgroup with most: /lab, 43.2 MiB",
    ]
