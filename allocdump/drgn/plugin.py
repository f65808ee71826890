# SPDX-License-Identifier: LGPL-2.1-or-later
"""drgn plugin: allocdump's commands in any drgn session on a Linux kernel.

drgn imports this whenever it opens something, so nothing else is loaded before a command is used.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from drgn import Program, ProgramFlags
from drgn.commands import DEFAULT_COMMAND_NAMESPACE, ParsedCommand, parse_shell_command

from ..commands import IN_DRGN, OLD_IN_DRGN


class _Command:
    """A :class:`drgn.commands.Command` that runs a command of the command line."""

    def __init__(self, name: str) -> None:
        self._name = name

    def description(self) -> str:
        from . import session

        return session.description(self._name)

    def format_usage(self) -> str:
        from . import session

        return session.usage(self._name)

    def format_help(self, *, indent: str = "") -> str:
        from . import session

        return textwrap.indent(session.help_text(self._name), indent)

    def enabled(self, prog: Program) -> bool:
        return bool(prog.flags & ProgramFlags.IS_LINUX_KERNEL)

    def parse(self, source: str, /) -> ParsedCommand[Sequence[str]]:
        return parse_shell_command(source)

    def run(
        self,
        prog: Program,
        name: str,
        args: Sequence[str],
        /,
        globals: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        from . import session

        session.run(prog, self._name, args, globals or {})


for _name in (*IN_DRGN, *OLD_IN_DRGN):
    DEFAULT_COMMAND_NAMESPACE.register(_name, _Command(OLD_IN_DRGN.get(_name, _name)))
