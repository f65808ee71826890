# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sentences and cells with exact numbers, as text for people."""

from __future__ import annotations

from string import Formatter
from typing import Any

from ..analysis.report import BUILT_IN
from ..triage.sentence import Sentence, Value
from . import units


class _Words(Formatter):
    def __init__(self, exact: bool) -> None:
        self._exact = exact

    def format_field(self, value: Any, format_spec: str) -> str:
        kind, _, noun = format_spec.partition(" ")
        return units.plural(value, noun) if noun else cell(value, kind or "text", self._exact)


def text(sentence: Sentence, exact: bool = False) -> str:
    """The sentence with its values in it."""
    return _Words(exact).vformat(sentence.template, (), sentence.values)


def cell(value: Value, kind: str, exact: bool = False) -> str:
    """One value, by its kind; ``-`` if nothing tells."""
    if value is None:
        return BUILT_IN if kind == "module" else "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    match kind:
        case "bytes":
            return units.size(value, exact)
        case "count":
            return units.count(int(value))
        case "share":
            return units.share(value, 1)
        case "seconds":
            return units.duration(value)
    return str(value)
