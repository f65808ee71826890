# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command line: one file per command, loaded when it is asked for."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys

import click

from .. import __version__
from ..errors import AllocdumpError, DamagedError
from ..text import printable

_COMMANDS = ("triage", "report", "pages", "objects", "whois", "usage", "audit", "tags")

EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 128 + signal.SIGINT

_EPILOG = """\b
Exit codes:
  0    done
  2    wrong usage
  3    the core cannot be opened: missing, not a dump, flattened, truncated
  4    no types or symbols: no BTF, or a vmlinux of another kernel
  5    the kernel kept no allocation profile
  6    the dump lacks the memory that the answer would come from
  70   a bug in allocdump
  130  interrupted
  141  the reader of the output went away
"""


class _Commands(click.Group):
    """Imports a command's module only to run it or to show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = importlib.import_module(f".{name}", __package__)
        command: click.Command = module.command
        return command


@click.command(
    cls=_Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="allocdump")
def cli() -> None:
    """Who allocated the memory of a Linux machine, from its vmcore.

    Reads what CONFIG_MEM_ALLOC_PROFILING (Linux 6.10 and later) left in a dump: every
    allocation call site with its counters, as /proc/allocinfo would have shown them.
    No debug information is needed.
    """


def main() -> None:
    """Entry point of the ``allocdump`` script; never ends in a traceback."""
    # What drgn says of missing debugging symbols does not concern who uses BTF.
    logging.getLogger("drgn").setLevel(logging.CRITICAL)
    # End as other Unix tools do when the reader of a pipe goes away.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(_run())


def _run() -> int:
    try:
        result = cli.main(standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.ClickException as e:
        e.show()
        return e.exit_code
    except AllocdumpError as e:
        click.echo(f"allocdump: {e}", err=True)
        return e.exit_code
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except Exception as e:
        if type(e).__name__ in ("FaultError", "BtfError"):
            # Of memory or types that everything else depends on.
            text = printable(str(e).encode())
            click.echo(
                f"allocdump: The dump lacks memory that this cannot do without ({text});"
                " copy it again, or capture with makedumpfile -d 23 or lower.",
                err=True,
            )
            return DamagedError.exit_code
        if os.environ.get("ALLOCDUMP_DEBUG"):
            raise
        click.echo(
            f"allocdump: internal error ({type(e).__name__}: {e}); please report it, with the"
            " output of the same command with ALLOCDUMP_DEBUG=1 set.",
            err=True,
        )
        return EXIT_INTERNAL
