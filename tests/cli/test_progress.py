# SPDX-License-Identifier: LGPL-2.1-or-later
"""The progress bar: on a terminal, after half a second, wiped at the end."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace

import pytest

import allocdump
from allocdump.cli import progress as module
from allocdump.cli.progress import GRAPH, MEMORY, progress
from allocdump.progress import Phase, Progress

from ..dumpdata import core

PAGES = 1 << 25
"""Of 128 GiB."""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    err = Terminal()
    monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=err))
    monkeypatch.setenv("COLUMNS", "80")
    return err


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def working(show: Progress | None) -> Progress:
    assert show is not None
    return show


def test_on_a_terminal(terminal: Terminal, clock: list[float]) -> None:
    with progress(*MEMORY) as bar:
        show = working(bar)
        clock[0] = 0.4
        show(Phase.PAGES, PAGES // 100, PAGES)
        assert terminal.getvalue() == ""
        clock[0] = 40.0
        show(Phase.PAGES, PAGES * 4 // 10, PAGES)
        assert "Reading page structures [" in terminal.getvalue()
        assert "  34%, about 78 s left" in terminal.getvalue()
        assert max(map(len, terminal.getvalue().replace("\x1b[K", "").split("\r"))) < 80
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_every_phase_has_its_name_and_its_part_of_the_whole(
    terminal: Terminal, clock: list[float]
) -> None:
    with progress(*GRAPH) as bar:
        show = working(bar)
        shares = []
        for clock[0], phase, done in (
            (1.0, Phase.PAGES, 0), (40.0, Phase.PAGES, PAGES), (41.0, Phase.POINTERS, 0),
            (90.0, Phase.POINTERS, PAGES), (91.0, Phase.VARIABLES, 0), (95.0, Phase.FOLLOWING, 0),
        ):  # fmt: skip
            show(phase, done, PAGES)
            shown = terminal.getvalue().split("\r")[-1]
            assert shown.startswith(phase.value)
            shares.append(int(shown.split("%")[0].split()[-1]))
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[1] == shares[2]
    assert 80 < shares[-1] < 97


def test_a_sign_of_life_comes_without_any_progress(terminal: Terminal) -> None:
    with progress(Phase.OPENING):
        time.sleep(0.45)
        assert terminal.getvalue() == ""
        end = time.monotonic() + 30
        while not terminal.getvalue() and time.monotonic() < end:
            time.sleep(0.01)
    assert terminal.getvalue() == "\rOpening the dump ...\x1b[K\r\x1b[K"


def test_wiped_after_an_error(terminal: Terminal, clock: list[float]) -> None:
    def interrupted() -> None:
        with progress(*MEMORY) as bar:
            clock[0] = 5.0
            working(bar)(Phase.PAGES, 1, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_off_when_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=io.StringIO()))
    with progress(*MEMORY) as show:
        assert show is None


def test_a_session_names_its_phases_in_the_planned_order() -> None:
    heard: list[tuple[Phase, int, int]] = []
    with allocdump.open(str(core("7.3-tiny"))) as session:
        session.reach(lambda *step: heard.append(step))
    assert list(dict.fromkeys(phase for phase, _, _ in heard)) == list(GRAPH)
    for phase in (Phase.PAGES, Phase.POINTERS):
        (first, _), *_, (last, total) = [(done, all_) for p, done, all_ in heard if p is phase]
        assert first == 0
        assert last == total > 0
