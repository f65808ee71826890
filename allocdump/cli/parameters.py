# SPDX-License-Identifier: LGPL-2.1-or-later
"""Additions to click that all its versions from 8.1 on understand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

# Generic only since click 8.2.
if TYPE_CHECKING:
    _ChoiceOfStrings = click.Choice[str]
    _TypeOfInt = click.ParamType[int]
else:
    _ChoiceOfStrings = click.Choice
    _TypeOfInt = click.ParamType


class Size(_TypeOfInt):
    """A number of bytes: ``4096``, ``64K``, ``1.5MiB``, ``2G``. Units are powers of 1024."""

    name = "size"
    _pattern = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTPE]?)(?:i?B)?", re.IGNORECASE)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = self._pattern.fullmatch(value.strip())
        if not found:
            self.fail(f"{value!r} is not a size; write it as 4096, 64K or 1.5M.", param, ctx)
        power = " KMGTPE".index(found[2].upper() or " ")
        return int(float(found[1]) * 1024**power)


class Number(click.IntRange):
    """A whole number between two limits."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number.", param, ctx)
        if self.min is not None and number < self.min:
            self.fail(f"{number:,} is too small; the least is {self.min:,}.", param, ctx)
        if self.max is not None and number > self.max:
            self.fail(f"{number:,} is too large; the most is {self.max:,}.", param, ctx)
        return number


class Choice(_ChoiceOfStrings):
    """A choice that still takes words of old, each for a word of today."""

    def __init__(self, choices: Iterable[str], old: Mapping[str, str] | None = None) -> None:
        super().__init__(tuple(choices))
        self._old = old or {}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(self._old.get(value, value), param, ctx)

    def get_missing_message(self, *args: Any, **kwargs: Any) -> str:
        return f"Choose one of {', '.join(map(str, self.choices))}."


class Option(click.Option):
    """An option that still takes spellings of old, which help does not show.

    :param old: ``--limit`` and the like
    """

    def __init__(self, *args: Any, old: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._old = list(old)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        shown = self.opts
        self.opts = [*shown, *self._old]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = shown


class Argument(click.Argument):
    """An argument with a text of its own in the help of its command.

    :param explanation: the text; without one, neither the text nor the usage shows it
    """

    def __init__(self, *args: Any, explanation: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.explanation = explanation

    def get_usage_pieces(self, ctx: click.Context) -> list[str]:
        return super().get_usage_pieces(ctx) if self.explanation else []


class Command(click.Command):
    """A command whose help explains its arguments."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [
            (param.metavar or "", param.explanation)
            for param in self.get_params(ctx)
            if isinstance(param, Argument) and param.explanation
        ]
        if rows:
            with formatter.section("Arguments"):
                formatter.write_dl(rows)
        super().format_options(ctx, formatter)
