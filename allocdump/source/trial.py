# SPDX-License-Identifier: LGPL-2.1-or-later
"""Trials in a process of their own, of actions that may end the whole process."""

from __future__ import annotations

import os
from collections.abc import Callable


def succeeds(action: Callable[[], object]) -> bool:
    """Tell if an action ends well: neither by an exception nor by a signal.

    It happens in a copy of this process, and changes nothing here.
    """
    pid = os.fork()
    if not pid:
        code = 1
        try:
            action()
            code = 0
        finally:
            # Nothing of the parent's may be ended or written twice.
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return status == 0
