# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command line: one file per command, loaded when it is asked for."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from .. import __version__
from ..commands import COMMANDS
from ..errors import did_you_mean
from ..text import printable
from .help import Context
from .outcome import outcome

_EPILOG = """\b
Exit codes:
  0    done
  1    diff --fail-over: something grew by more
  2    wrong usage, or a filter matches nothing, or a library is not installed, or the output \
 cannot be written there
  3    the core or guest cannot be opened: missing, not a dump, packed, truncated, not QMP; \
for diff also: no saved /proc/allocinfo or report, or a damaged one
  4    no types or symbols: no BTF, or a vmlinux of another kernel
  5    the kernel kept no allocation profile
  6    the dump lacks the memory that the answer would come from, or a kernel changed too \
fast, or its architecture or page size is not known
  70   a bug in allocdump
  130  interrupted (watch: 0)
  141  the reader of the output went away
"""


_DEFAULT = "triage"

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""Settings of all commands."""


def load(name: str) -> click.Command:
    """The command of that name."""
    module = importlib.import_module(f".{name}", __package__)
    command: click.Command = module.command
    command.context_class = Context
    return command


class _Commands(click.Group):
    """Imports a command's module only to run it or to show its help.

    Words that begin with none are those of ``triage``.
    """

    context_class = Context

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return load(name) if name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, load(name).get_short_help_str(limit=1000)) for name in COMMANDS]
            )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {spelling for param in self.get_params(ctx) for spelling in param.opts}
        first = args[0].partition("=")[0] if args else ""
        if first.startswith("-") and first not in own:
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = super().shell_complete(ctx, incomplete)
        # CORE may stand there.
        return found if incomplete.startswith("-") else [*found, CompletionItem("", type="file")]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word in COMMANDS:
            return super().resolve_command(ctx, args)
        if os.path.exists(word):
            return _DEFAULT, load(_DEFAULT), args
        if ctx.resilient_parsing:
            return None, None, args
        raise click.UsageError(_neither(word), ctx)


def _neither(word: str) -> str:
    """A sentence on a word that is neither a command nor a file."""
    shown = repr(printable(os.fsencode(word)))
    guess = did_you_mean(word, COMMANDS)
    if os.sep in word or not guess:
        return (
            f"{shown} is neither a command (allocdump --help lists them) nor a file:"
            " check the path of the vmcore."
        )
    return f"No such command {shown}, and no vmcore of that name{guess}"


@click.command(cls=_Commands, epilog=_EPILOG, context_settings=CONTEXT)
@click.version_option(__version__, "-V", "--version", prog_name="allocdump")
def cli() -> None:
    """Tell who allocated the memory of a Linux machine, from its vmcore or while it runs.

    Reads the profile of CONFIG_MEM_ALLOC_PROFILING (Linux 6.10 and later) from a dump:
    every allocation call site with its counters, as /proc/allocinfo would have shown them.
    No debug information is needed.

    allocdump CORE is short for allocdump triage CORE: the whole machine on one page. As for
    crash, a vmlinux may stand in front of CORE, but need not.
    """


def main() -> None:
    """Entry point of the ``allocdump`` script; never ends in a traceback."""
    # What drgn says of missing debugging symbols does not concern who uses BTF.
    logging.getLogger("drgn").setLevel(logging.CRITICAL)
    # drgn chooses its prompt early, and Python 3.13's needs a terminal.
    if not (sys.stdin and sys.stdin.isatty()):
        os.environ.setdefault("PYTHON_BASIC_REPL", "1")
    # End as other Unix tools do when the reader of a pipe goes away.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(_run())


def _run() -> int:
    if "_ALLOCDUMP_COMPLETE" in os.environ:
        from .completing import answer

        return answer(cli)
    return outcome(lambda: cli.main(prog_name="allocdump", standalone_mode=False))
