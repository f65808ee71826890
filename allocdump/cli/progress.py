# SPDX-License-Identifier: LGPL-2.1-or-later
"""A progress bar on stderr, for what takes more than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..kernel.mm.pagemap import Progress

_AFTER = 1.0
_WIDTH = 30


@contextmanager
def progress(what: str) -> Iterator[Progress | None]:
    """A callback for progress; None if stderr is no terminal. The bar is wiped at the end."""
    if not sys.stderr.isatty():
        yield None
        return
    start = time.monotonic()
    shown = False

    def show(done: int, total: int) -> None:
        nonlocal shown
        passed = time.monotonic() - start
        if passed < _AFTER or not total:
            return
        shown = True
        share = done / total
        left = passed / share - passed if share else 0
        bar = "#" * int(_WIDTH * share)
        sys.stderr.write(f"\r{what} [{bar:<{_WIDTH}}] {share:4.0%}, {left:.0f} s left \x1b[K")
        sys.stderr.flush()

    try:
        yield show
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
