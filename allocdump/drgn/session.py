# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands within a drgn session, where a program is open already.

A command is that of the command line: it has the same name, and all its options but those that
tell what to open.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from functools import cache

import click
import numpy as np
from drgn import Object, Program, ProgramFlags
from drgn.commands import CommandArgumentError, CommandError

from .. import from_program
from ..cli import CONTEXT, load
from ..cli.failures import explain
from ..cli.options import OPENING
from ..commands import IN_DRGN
from ..session import Session

_CACHED = "allocdump"
_ADDRESSES = "addresses"
"""Name of the parameter of commands that take addresses."""


def run(
    prog: Program, name: str, args: Sequence[str], variables: Mapping[str, object] | None = None
) -> None:
    """Run a command on a program, with output to sys.stdout and warnings to sys.stderr.

    :param variables: of the session, any of which may stand for an address
    :raises CommandError: with one sentence, if it fails
    """
    try:
        with _context(name, args) as context:
            context.obj = lambda: dump_of(prog)
            if _ADDRESSES in context.params:
                context.params[_ADDRESSES] = tuple(
                    _address(text, variables or {}) for text in context.params[_ADDRESSES]
                )
            context.command.invoke(context)
    except click.exceptions.Exit:
        pass  # --help
    except click.UsageError as e:
        raise CommandArgumentError(f"{name}: {e.format_message()}") from None
    except BrokenPipeError:
        raise  # drgn knows: the reader of the pipe went away
    except Exception as e:
        raise CommandError(explain(e)[0]) from None


def _address(text: str, variables: Mapping[str, object]) -> str:
    """The address that a variable of this name holds, or else the text itself."""
    from ..kernel.mm.whois import AddressError, in_words

    value = variables.get(text)
    if isinstance(value, bool) or not isinstance(value, int | np.integer | Object):
        return text
    try:
        return in_words(value)
    except AddressError as e:
        raise CommandError(f"{text}: {e}") from None


def dump_of(prog: Program) -> Session:
    """The program as allocdump sees it: kept with it, unless it runs and changes."""
    dump: Session | None = prog.cache.get(_CACHED)
    if dump is None:
        finders = prog.registered_type_finders()
        dump = from_program(prog)
        if prog.registered_type_finders() != finders:
            click.echo(
                "allocdump: no debugging information is loaded; types are those of the BTF"
                " in the kernel's memory.",
                err=True,
            )
        keep(dump)
    return dump


def keep(dump: Session) -> None:
    """Let the commands on its program use *dump*."""
    if not dump.prog.flags & ProgramFlags.IS_LIVE:
        dump.prog.cache[_CACHED] = dump


def description(name: str) -> str:
    """Describe the command in one line."""
    return _command(name).get_short_help_str(limit=200)


def usage(name: str) -> str:
    """Show the command's arguments in one line."""
    command = _command(name)
    return " ".join([name, *command.collect_usage_pieces(click.Context(command, **CONTEXT))])


def help_text(name: str) -> str:
    """All that --help says."""
    command = _command(name)
    return command.get_help(click.Context(command, info_name=f"%{name}", **CONTEXT))


def _context(name: str, args: Sequence[str]) -> click.Context:
    return _command(name).make_context(f"%{name}", list(args), **CONTEXT)


@cache
def _command(name: str) -> click.Command:
    command = copy.copy(load(name))
    command.params = [p for p in command.params if p.name not in OPENING]
    command.help = _reworded(command.help or "")
    return command


def _reworded(text: str) -> str:
    """Help with commands as they are written here; nothing can be piped into them."""

    def rename(found: re.Match[str]) -> str:
        return f"%{found[1]}" if found[1] in IN_DRGN else found[0]

    text = re.sub(r"\ballocdump (\w+)(?: vmcore)?\b", rename, text)
    return "".join(line for line in text.splitlines(keepends=True) if "| %" not in line)
