# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is tried in another process first."""

from __future__ import annotations

import os
import signal

from allocdump.source.trial import succeeds


def test_exceptions_and_signals_are_no_success() -> None:
    seen: list[int] = []

    def fails() -> None:
        raise RuntimeError("as libkdumpfile does")

    assert succeeds(lambda: seen.append(1))
    assert not succeeds(fails)
    assert not succeeds(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert not seen  # here nothing has happened
