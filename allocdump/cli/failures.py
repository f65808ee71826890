# SPDX-License-Identifier: LGPL-2.1-or-later
"""Exceptions as one sentence and an exit code."""

from __future__ import annotations

import os

from ..errors import AllocdumpError, DamagedError, TypesError
from ..kernel.walk import is_damage
from ..source.btf import BtfError
from ..text import printable

EXIT_INTERNAL = 70
_CIRCLE = "maximum type depth exceeded"
"""drgn's words where a type is made of itself."""
_OURS_TOO = (ValueError, OverflowError, RecursionError, NotImplementedError)
"""Raised by damage where it is expected, and by bugs."""


def explain(error: Exception) -> tuple[str, int]:
    """The sentence and the exit code for what ended a command.

    :raises Exception: *error* itself if it is a bug, and ALLOCDUMP_DEBUG is set
    """
    if isinstance(error, AllocdumpError):
        return str(error), error.exit_code
    if isinstance(error, BtfError) or (is_damage(error) and not isinstance(error, _OURS_TOO)):
        # Of memory or types that everything else depends on.
        reason = printable(str(error).encode())
        if isinstance(error, (LookupError, AttributeError, TypeError)):
            return (
                "This version of allocdump does not know something of this kernel that this cannot"
                f" do without, or the dump lacks it ({reason}); other commands may work.",
                DamagedError.exit_code,
            )
        return (
            f"The dump lacks memory that this cannot do without ({reason}); copy it again, or"
            " capture with makedumpfile -d 23 or lower.",
            DamagedError.exit_code,
        )
    if isinstance(error, RecursionError) and str(error) == _CIRCLE:
        return (
            "The kernel's types (BTF) are damaged in this dump: one is made of itself; name the"
            " kernel's vmlinux with --vmlinux.",
            TypesError.exit_code,
        )
    if os.environ.get("ALLOCDUMP_DEBUG"):
        raise error
    return (
        f"internal error ({type(error).__name__}: {error}); please report it, with the"
        " output of the same command with ALLOCDUMP_DEBUG=1 set.",
        EXIT_INTERNAL,
    )
