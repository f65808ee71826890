# SPDX-License-Identifier: LGPL-2.1-or-later
"""The progress bar: on a terminal, after a second, wiped at the end."""

from __future__ import annotations

import io
import sys
import time

import pytest

from allocdump.cli.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_on_a_terminal(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    with progress("Reading") as show:
        assert show is not None
        clock[0] = 0.9
        show(1, 10)
        assert err.getvalue() == ""
        clock[0] = 2.0
        show(4, 10)
        assert "Reading" in err.getvalue()
        assert " 40%, 3 s left" in err.getvalue()
    assert err.getvalue().endswith("\r\x1b[K")


def test_wiped_after_an_error(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)

    def interrupted() -> None:
        with progress("Reading") as show:
            assert show is not None
            clock[0] = 5.0
            show(1, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert err.getvalue().endswith("\r\x1b[K")


def test_off_when_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress("Reading") as show:
        assert show is None
