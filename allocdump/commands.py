# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names of the commands, known without loading any."""

from __future__ import annotations

COMMANDS = (
    "triage",
    "report",
    "watch",
    "pages",
    "objects",
    "whois",
    "usage",
    "leaks",
    "retained",
    "paths",
    "audit",
    "diff",
    "tags",
    "doctor",
    "schema",
    "shell",
    "completion",
)
"""In the order of the help; each is a module of :mod:`allocdump.cli`."""

_WITHOUT_JSON = frozenset({"schema", "shell", "completion"})
WITH_JSON = tuple(name for name in COMMANDS if name not in _WITHOUT_JSON)
"""The commands with ``--format json``."""

_NOT_IN_DRGN = frozenset({"watch", "diff", "tags", "doctor"}) | _WITHOUT_JSON
"""They read no program, or two, or never end, or say what can be opened, or are a session
themselves."""

IN_DRGN = tuple(name for name in COMMANDS if name not in _NOT_IN_DRGN)
"""The commands of a drgn session."""

WITHOUT_PROFILE = (
    "triage", "usage", "objects", "pages", "whois", "leaks", "retained", "paths",
)  # fmt: skip
"""They tell memory of any kernel, with other origins where there are no call sites."""

OLD_IN_DRGN = {"allocinfo": "report"}
"""Names that commands of a drgn session once had, and have now."""
