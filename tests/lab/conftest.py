# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that live, one for each kernel of the lab that is made for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from steps.live import Guest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts" / "lab"))

from steps import kernel, live, work  # noqa: E402

KERNELS = [name for name in work.names("kernels") if name.endswith("-live")]
BUILT = [name for name in KERNELS if kernel.load(name).image.exists()]

FIGURES: list[str] = []
"""Lines for people, shown at the end."""


@pytest.fixture(scope="session", params=BUILT)
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    built = kernel.load(request.param)
    kernel.make(built)
    with live.Guest(built) as guest:
        yield guest


@pytest.fixture
def figure(guest: Guest) -> Callable[[str], None]:
    def note(text: str) -> None:
        FIGURES.append(text if text.startswith("|") else f"{guest.release()}: {text}")

    return note


def pytest_sessionstart(session: pytest.Session) -> None:
    if not BUILT:
        pytest.exit(f"No kernel is built: python scripts/lab kernel {' '.join(KERNELS)}", 1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FIGURES:
        terminalreporter.section("figures")
        for line in FIGURES:
            terminalreporter.write_line(line)
