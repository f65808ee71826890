# SPDX-License-Identifier: LGPL-2.1-or-later
"""Triage of kernels as distributions ship them, without a profile: the right verdict or none."""

import pytest

from allocdump.session.evidence import investigate
from allocdump.triage.shortage import Shortage, shortage
from allocdump.view.sentence import text

from ..dumpdata import STOCK_CORES, made, name, open_core

QUIET = [path for path in STOCK_CORES if "quiet" in made(path)["scenario"]]
SHORT = [path for path in STOCK_CORES if path not in QUIET]


@pytest.mark.parametrize("path", QUIET, ids=name)
def test_a_machine_that_was_well(path):
    page = open_core(path).triage()
    assert not any(suspect.cause for suspect in page.suspects)
    assert text(page.verdict).startswith("memory was not short: ")


@pytest.mark.parametrize("path", SHORT, ids=name)
def test_the_machine_was_out_of_memory(path):
    """A little was left in ZONE_DMA, which is no memory elsewhere."""
    assert shortage(investigate(open_core(path))) == Shortage.MACHINE
