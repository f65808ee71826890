# SPDX-License-Identifier: LGPL-2.1-or-later
"""Additions to click that all its versions from 8.1 on understand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from ..errors import did_you_mean

# Generic only since click 8.2.
if TYPE_CHECKING:
    _ChoiceOfStrings = click.Choice[str]
    _TypeOfInt = click.ParamType[int]
    _TypeOfAny = click.ParamType[Any]
else:
    _ChoiceOfStrings = click.Choice
    _TypeOfInt = _TypeOfAny = click.ParamType


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


class Keys(_TypeOfAny):
    """One or more keys of a table, with commas between them.

    :param keys: the table; values are tuples of what stands in it
    :param alone: words beside them that go with no other, and are their own values
    """

    name = "keys"
    _SITE = "site"

    def __init__(self, keys: Mapping[str, Any], alone: Sequence[str] = ()) -> None:
        self._keys, self._alone = keys, alone

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str) or value in self._alone:
            return value
        words = value.split(",")
        known = [*self._keys, *self._alone]
        for word in words:
            if word not in known:
                near = did_you_mean(word, known)
                self.fail(f"{word!r} is not one of {', '.join(known)}{near or '.'}", param, ctx)
        for word in self._alone:
            if word in words:
                self.fail(f"{word} does not go with other keys.", param, ctx)
        if len(set(words)) < len(words):
            self.fail("a key stands there twice.", param, ctx)
        keys = tuple(self._keys[word] for word in words)
        of_site = [key.name for key in keys if key.of_site and key.name != self._SITE]
        if self._SITE in words and of_site:
            self.fail(f"site does not go with {of_site[0]}: it tells that, too.", param, ctx)
        return keys

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Keys that may follow."""
        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",") if comma else []
        words = [*self._keys, *([] if comma else self._alone)]
        return [
            CompletionItem(before + comma + word)
            for word in words
            if word.startswith(last) and word not in taken
        ]


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
