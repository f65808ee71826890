# SPDX-License-Identifier: LGPL-2.1-or-later
"""The end of a command: its exit code, and what is said where it fails."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import click

from ..view.wrap import wrap
from .failures import explain
from .output import complain, stream_width

EXIT_INTERRUPTED = 128 + signal.SIGINT


def outcome(action: Callable[[], object]) -> int:
    """Exit code of an action, after a sentence on what made it fail."""
    try:
        result = action()
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.ClickException as e:
        _show(e)
        return e.exit_code
    except click.exceptions.Exit as e:
        return e.exit_code
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except Exception as e:
        text, exit_code = explain(e)
        complain(text)
        return exit_code


def _show(error: click.ClickException) -> None:
    """As click does, but within the width of the terminal."""
    if type(error).__name__ == "NoArgsIsHelpError":  # since click 8.2
        error.show()
        return
    if isinstance(error, click.UsageError) and error.ctx is not None:
        ctx, error.ctx = error.ctx, None
        hint = f"Try '{ctx.command_path} {ctx.help_option_names[-1]}' for help.\n"
        click.echo(f"{ctx.get_usage()}\n{hint}", err=True)
    for line in wrap(f"Error: {error.format_message()}", stream_width(sys.stderr), rest="  "):
        click.echo(line, err=True)
