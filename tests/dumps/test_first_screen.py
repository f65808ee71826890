# SPDX-License-Identifier: LGPL-2.1-or-later
"""The first screen of a terminal tells a stranger what died, why, and what to do."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from allocdump.errors import DamagedError
from allocdump.session import Session
from allocdump.session.evidence import investigate
from allocdump.triage import triage
from allocdump.view import text as plain_text
from allocdump.view import triage as projection
from allocdump.view.renderer import How

from ..dumpdata import CORES, STOCK_CORES, core, name, open_core, run

CAUSES = {
    "6.12-oom": ["LEAK in module leaker (leaker.c:44, leaker_get_page)", "Certain."],
    "6.12-oom-user": ["USER MEMORY, most of it of task tail", "Very likely."],
    "7.2-oom-memcg": ["LIMIT of memory cgroup /second reached", "Certain."],
    "arm64-oom": ["LEAK in module leaker (leaker.c:44, leaker_get_page)", "Certain."],
    "stock-6.1-tmpfs": ["USER MEMORY, most of it files in tmpfs /scratch", "Very likely."],
    "stock-6.12-sockets": ["SOCKETS of task culprit", "Very likely."],
    "stock-7.3-inodes": ["SLAB CACHE shmem_inode_cache", "Very likely."],
    "stock-7.3-pipes": ["PIPES of task culprit", "Very likely."],
}
"""Of each machine that ran out of memory: its scenario, in the words of the verdict."""


def screen(dump: Session) -> list[str]:
    page = projection.sheet(triage(investigate(dump), 5))
    return plain_text.render(page, How(width=80)).splitlines()[:24]


def _ran_out(path: Path) -> bool:
    console = path.parent / "console.txt"
    return console.exists() and "Out of memory" in console.read_text()


def test_all_of_them_are_here() -> None:
    died = {p.parent.name for p in CORES + STOCK_CORES if _ran_out(p)}
    assert died == set(CAUSES)


@pytest.mark.parametrize("folder", sorted(CAUSES))
def test_cause_death_and_next_step(folder: str) -> None:
    lines = screen(open_core(core(folder)))
    cause, sure = CAUSES[folder]
    assert lines[0].startswith(f"VERDICT: {cause}")
    assert sure in " ".join(lines[:3])
    (died,) = [i for i, line in enumerate(lines) if line.startswith("DIED:    ")]
    said = " ".join(line.strip() for line in lines[died : died + 2])
    assert re.search(
        r"(out of memory|at the limit of memory cgroup /second): \w+ asked for 4", said
    )
    assert any(line.startswith("TO DO:   ") for line in lines)
    # As a shell reads it: lines that end in a backslash go on.
    command = "\n".join(lines).partition("\nNEXT:    ")[2].replace("\\\n", "").partition("\n")[0]
    done = run(*shlex.split(command)[1:])
    assert done.returncode == 0
    assert any(line.startswith("1. WHAT DIED") for line in lines)
    assert any("panic_on_oom" in line for line in lines)
    # Nothing but a word of a command, which is to be pasted, is longer than the screen.
    assert all(len(line) <= 80 for line in lines if str(core(folder)) not in line)


@pytest.mark.parametrize("path", [core("6.12-oom"), core("stock-7.3-pipes")], ids=name)
def test_json_has_the_same(path: Path) -> None:
    document = json.loads(run("triage", path, "--format", "json").stdout)
    shown = " ".join(line.strip(" \\") for line in screen(open_core(path)))
    for key in ("died", "advice", "next"):
        assert document["summary"][key]["text"] in shown


def test_gaps_are_told_where_they_weaken_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a search for leaks the cause is less sure, and a line says why."""
    dump = open_core(core("6.12-oom"))

    def damaged(*_: object) -> None:
        raise DamagedError("what the search needs is not in the dump.")

    monkeypatch.setattr(dump, "reach", damaged)
    lines = screen(dump)
    assert lines[0].startswith("VERDICT: KERNEL MEMORY in module leaker (leaker.c:44")
    assert "Very likely." in " ".join(lines[:2])
    assert "MISSING: not searched for leaks" in lines


def test_no_gap_weakens_what_is_certain() -> None:
    assert not any("MISSING" in line for line in screen(open_core(core("6.12-oom"))))
