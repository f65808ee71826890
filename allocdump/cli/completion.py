# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump completion``"""

from __future__ import annotations

from importlib.resources import files

import click

from .output import write
from .parameters import Choice, Command

SCRIPTS = {"bash": "allocdump", "zsh": "_allocdump", "fish": "allocdump.fish"}
"""The names that each shell looks for."""


@click.command("completion", cls=Command)
@click.argument("shell", type=Choice(list(SCRIPTS)), metavar="SHELL")
def command(shell: str) -> None:
    """A script that completes command lines in a shell.

    SHELL is bash, zsh or fish. Completes commands, options, files, and names that only the
    dump on the command line knows: call sites for --filter, slab caches for --cache. For
    these, it reads names and counters, and says nothing if it cannot.

    \b
    Examples:
      source <(allocdump completion bash)
      allocdump completion zsh > ~/.zfunc/_allocdump
      allocdump completion fish > ~/.config/fish/completions/allocdump.fish
    """
    script = files(__package__) / "completions" / shell / SCRIPTS[shell]
    write(script.read_text())
