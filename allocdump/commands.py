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
    "shell",
)
"""In the order of the help; each is a module of :mod:`allocdump.cli`."""

_NOT_IN_DRGN = frozenset({"watch", "diff", "tags", "shell"})
"""They read no program, or two, or never end, or are a session themselves."""

WITHOUT_PROFILE = tuple(
    name for name in COMMANDS if name not in ("report", "watch", "audit", "diff", "tags", "shell")
)
"""They tell memory of any kernel, with other origins where there are no call sites."""

_IN_DRGN = {"report": "allocinfo"}
"""Names that would say too little among drgn's commands."""


def in_drgn() -> dict[str, str]:
    """The commands of a drgn session: ``{name there: name on the command line}``."""
    return {_IN_DRGN.get(name, name): name for name in COMMANDS if name not in _NOT_IN_DRGN}
