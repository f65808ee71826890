# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sentences whose numbers stay exact until somebody shows them."""

from __future__ import annotations

from dataclasses import dataclass

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


def say(template: str, **values: Value) -> Sentence:
    """A :class:`Sentence`."""
    return Sentence(template, values)
