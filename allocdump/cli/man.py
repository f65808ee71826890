# SPDX-License-Identifier: LGPL-2.1-or-later
"""Manual pages, from the texts that ``--help`` shows. ``scripts/man`` writes them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from .. import __version__
from ..commands import COMMANDS
from . import CONTEXT, cli, load
from .parameters import Argument

_EXAMPLES = "Examples:"
_OPTION = re.compile(r"(?<![\w-])(--?[a-z][\w-]*)")


def pages() -> dict[str, str]:
    """All pages in the man macros of roff, by the names of their files."""
    return {f"{name}.1": "".join(f"{line}\n" for line in _page(name)) for name in _names()}


def _names() -> list[str]:
    return ["allocdump", *(f"allocdump-{name}" for name in COMMANDS)]


def _page(name: str) -> Iterator[str]:
    command = cli if name == "allocdump" else load(name.removeprefix("allocdump-"))
    summary, _, rest = inspect.cleandoc(command.help or "").partition("\n\n")
    yield f'.TH {name.upper()} 1 "" "allocdump {__version__}" "User Commands"'
    yield from (".SH NAME", rf"{_text(name)} \- {_text(' '.join(summary.split()).rstrip('.'))}")
    yield from (".SH SYNOPSIS", rf"\fB{_text(name.replace('-', ' ', 1))}\fR {_usage(command)}")
    description, examples = _parts(rest)
    yield ".SH DESCRIPTION"
    yield from _paragraphs(description or summary)
    arguments = [p for p in command.params if isinstance(p, Argument) and p.explanation]
    if arguments:
        yield ".SH ARGUMENTS"
        for argument in arguments:
            yield from (
                ".TP",
                rf"\fI{_text(argument.metavar or '')}\fR",
                _text(argument.explanation),
            )
    yield ".SH OPTIONS"
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            yield from (".TP", _spellings(option), _marked(_meaning(option)))
    yield from (".TP", r"\fB\-h\fR, \fB\-\-help\fR", "Show a help text and exit.")
    if command is cli:
        yield ".SH COMMANDS"
        for one in COMMANDS:
            yield from (
                ".TP",
                rf"\fBallocdump\-{one}\fR(1)",
                _text(load(one).get_short_help_str(200)),
            )
    if examples:
        yield from (".SH EXAMPLES", ".nf", *map(_text, examples), ".fi")
    if command.epilog:
        _, *codes = command.epilog.replace("\b", "").strip().splitlines()
        yield ".SH EXIT STATUS"
        yield from (".nf", *(_text(line[2:]) for line in codes), ".fi")
    yield ".SH SEE ALSO"
    others = ["allocdump"] if command is not cli else []
    yield ", ".join(rf"\fB{_text(other)}\fR({at})" for other, at in [
        *((other, 1) for other in others), ("crash", 8), ("makedumpfile", 8)
    ])  # fmt: skip


def _usage(command: click.Command) -> str:
    pieces = command.collect_usage_pieces(click.Context(command, **CONTEXT))
    return _text(" ".join(pieces))


def _parts(text: str) -> tuple[str, list[str]]:
    """The description, and the lines of the examples."""
    before, found, after = text.partition(f"\b\n{_EXAMPLES}\n")
    return before.strip(), [line.strip() for line in after.splitlines()] if found else []


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        yield _marked(" ".join(paragraph.replace("\b", "").split()))


def _spellings(option: click.Option) -> str:
    spelled = ", ".join(rf"\fB{_text(name)}\fR" for name in (*option.opts, *option.secondary_opts))
    if option.is_flag:
        return spelled
    value = option.metavar
    if value is None and isinstance(option.type, click.Choice):
        value = "|".join(map(str, option.type.choices))
    return rf"{spelled} \fI{_text(value or option.type.name.upper())}\fR"


def _meaning(option: click.Option) -> str:
    default = f" [default: {option.default}]" if option.show_default else ""
    return f"{option.help or ''}{default}"


def _marked(text: str) -> str:
    """Text with its options in bold."""
    return _OPTION.sub(lambda found: rf"\fB{found[1]}\fR", _text(text).replace(r"\-", "-")).replace(
        "-", r"\-"
    )


def _text(text: str) -> str:
    """Text that roff shows as it is."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text.startswith((".", "'")) else text
