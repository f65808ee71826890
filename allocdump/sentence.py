# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sentences whose numbers stay exact until somebody shows them."""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter
from typing import Any

Value = str | bool | int | float | None


@dataclass(frozen=True)
class Sentence:
    """A template and its values.

    The word after the colon in a place of the template is the value's kind: ``{size:bytes}``,
    ``{part:share}`` (0 to 1), ``{n:count}``, ``{n:count task}`` (with the noun, in the plural
    if need be), ``{t:seconds}``; without a kind, it is text. Strings of a dump are values,
    never part of the template.
    """

    template: str
    values: dict[str, Value]

    def __str__(self) -> str:
        """The sentence for programmers, with exact numbers; :mod:`.view` has it for others."""
        return _PLAIN.vformat(self.template, (), self.values)


def say(template: str, **values: Value) -> Sentence:
    """A :class:`Sentence`."""
    return Sentence(template, values)


class _Plain(Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        kind, _, noun = format_spec.partition(" ")
        if value is None or isinstance(value, str):
            return value or "-"
        match kind:
            case "share":
                return f"{value:.1%}"
            case "bytes":
                return f"{value:,} bytes"
            case "seconds":
                return f"{value:,.1f} s"
        return f"{value:,} {noun}{'' if value == 1 else 's'}" if noun else str(value)


_PLAIN = _Plain()
