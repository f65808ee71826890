# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's clock against the times in its log, and what is said of a kernel that lives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import allocdump
from allocdump.kernel.machine.clock import uptime
from allocdump.kernel.machine.log import KernelLog
from allocdump.view import text as plain_text
from allocdump.view import triage as projection

from ..dumpdata import STOCK_CORES, core, name, open_core, overwrite, place
from .test_triage import READABLE

QUIET = core("7.3-tiny")
LEAKED = core("7.3-after")
_TICK = 0.25
"""Between two clocks."""
_WITHOUT_TICKS = 3
"""While the truth is written, with interrupts off; an emulated processor takes its time."""


@pytest.mark.parametrize("path", READABLE + STOCK_CORES, ids=name)
def test_it_is_that_of_the_panic(path: Path) -> None:
    dump = open_core(path)
    logged = dump.log.uptime()
    told = uptime(dump.prog)
    assert logged is not None
    assert told is not None
    assert logged - _WITHOUT_TICKS < told < logged + _TICK


def test_a_clock_that_cannot_be() -> None:
    """Then the last line of the log has to do."""
    dump = allocdump.open(QUIET)
    keeper = dump.prog["timekeeper_data"][0].timekeeper
    overwrite(dump.prog, place(keeper.ktime_sec), b"\xff" * 7 + b"\x7f")
    assert uptime(dump.prog) is None
    page = dump.triage()
    (told,) = [f.value.values["uptime"] for f in page.sections[0].facts if f.key == "uptime"]
    assert told == dump.log.uptime()


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_kernel_that_lives(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    """It has said nothing for long, and did not die."""
    dump = allocdump.open(LEAKED)
    lines = dump.log.text.split(b"\n")[:40]
    dump.log = replace(dump.log, text=b"\n".join(lines), times=dump.log.times[:40])
    monkeypatch.setattr(dump.kernel, "state", state)
    silent = dump.log.uptime()
    assert silent is not None
    page = dump.triage()
    facts = {fact.key: fact.value for fact in page.sections[0].facts}
    told = facts["uptime"].values["uptime"]
    assert isinstance(told, float)
    assert told > silent + 2
    assert facts["state"].values == {"state": state}
    assert "reason" not in facts
    said = plain_text.render(projection.sheet(page))
    # Of a kernel that moves on, no leak is proven.
    assert any(s.rule == "lost_memory" for s in page.suspects) == (state == "paused")
    assert ("MISSING: leaks cannot be told" in said) == (state == "running")
    for words in ("WHAT DIED", "not in the kernel log", "memory was", "WAS"):
        assert words not in said


def test_a_dump_without_a_panic_says_so() -> None:
    dump = allocdump.open(QUIET)
    dump.log = KernelLog(b"Linux version 7", times=(0,))
    facts = {fact.key: fact.value for fact in dump.triage().sections[0].facts}
    assert facts["reason"].values == {"reason": "not in the kernel log"}
