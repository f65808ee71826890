# SPDX-License-Identifier: LGPL-2.1-or-later
"""A progress bar on stderr, for all that takes longer than half a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any, TextIO

import click

from ..progress import Phase, Progress
from .output import stream_width

if TYPE_CHECKING:
    from ..session import Session

_AFTER = 0.5
"""Seconds without a sign of life, at most."""
_WIDTH = 30
_STARTED = "allocdump.started"

_COSTS = {
    Phase.OPENING: (1.0, 0.0),
    Phase.PAGES: (1.1, 0.1),
    Phase.POINTERS: (2.0, 0.13),
    Phase.VARIABLES: (2.0, 0.15),
    Phase.FOLLOWING: (0.6, 0.03),
    Phase.ADDING: (0.6, 0.02),
}
"""Time of each phase, whatever the unit: how much any machine takes, and how much more each
128 MiB of it. Only their proportions matter: the time that is left is estimated from the time
that was needed so far."""
_SECTION = 1 << 15
"""Pages of 128 MiB."""

MEMORY = (Phase.PAGES, Phase.ADDING)
"""Phases of commands that read all memory once."""
GRAPH = (Phase.PAGES, Phase.POINTERS, Phase.VARIABLES, Phase.FOLLOWING)
"""Phases of commands that follow pointers."""


class Bar:
    """The phases to come, and what is done of them."""

    def __init__(self, plan: tuple[Phase, ...], stream: TextIO, begun: float) -> None:
        self._plan, self._stream = plan, stream
        self._start = time.monotonic()
        self._after = begun + _AFTER
        self._text, self._shown, self._lock = f"{plan[0].value} ...", False, Lock()
        self._sections, self._ended = 1.0, False
        self._timer = Timer(max(0.0, self._after - self._start), self._show)
        self._timer.daemon = True

    def __enter__(self) -> Bar:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            if self._shown:
                self._stream.write("\r\x1b[K")
                self._stream.flush()
            self._ended = True

    def __call__(self, phase: Phase, done: int, total: int) -> None:
        """Hear of progress."""
        share = self._share(phase, done, total)
        passed = time.monotonic() - self._start
        left = f", about {passed / share - passed:.0f} s left" if share else ""
        after = f" {share:4.0%}{left}"
        room = (stream_width(self._stream) or 80) - len(phase.value + after) - 4
        bar = max(0, min(_WIDTH, room))
        self._text = f"{phase.value} [{'#' * int(bar * share):<{bar}}]{after}"
        if time.monotonic() >= self._after:
            self._show()

    def _share(self, phase: Phase, done: int, total: int) -> float:
        """Part of all work that is done, from 0 to 1."""
        if phase in (Phase.PAGES, Phase.POINTERS):
            self._sections = total / _SECTION
        costs = {p: fixed + each * self._sections for p, (fixed, each) in _COSTS.items()}
        plan = self._plan if phase in self._plan else (*self._plan, phase)
        finished = sum(costs[p] for p in plan[: plan.index(phase)])
        fixed, each = _COSTS[phase]
        if done and total:
            finished += fixed + each * self._sections * done / total
        return finished / sum(costs[p] for p in plan)

    def _show(self) -> None:
        with self._lock:
            if not self._ended:
                self._shown = True
                self._stream.write(f"\r{self._text}\x1b[K")
                self._stream.flush()


@contextmanager
def progress(*plan: Phase) -> Iterator[Progress | None]:
    """A callback for progress; None if stderr is no terminal. The bar is wiped at the end.

    :param plan: the phases that are to come
    """
    if not sys.stderr.isatty():
        yield None
        return
    with Bar(plan, sys.stderr, _begun()) as bar:
        yield bar


def follow_for(dump: Session, keys: Any) -> None:
    """Follow all pointers, if one of the keys of ``--group-by`` needs it."""
    if any(getattr(key, "follows", False) for key in keys):
        with progress(*GRAPH) as show_progress:
            dump.holder_kinds(show_progress)


def _begun() -> float:
    """Time when the command began to work."""
    context, now = click.get_current_context(silent=True), time.monotonic()
    return float(context.meta.setdefault(_STARTED, now)) if context else now
