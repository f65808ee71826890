# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sentences and cells with exact numbers, as text for people."""

from __future__ import annotations

from string import Formatter
from typing import Any

from ..analysis.site_groups import BUILT_IN
from ..sentence import Sentence
from . import units
from .model import Absent, Cell, Line


class _Words(Formatter):
    def __init__(self, exact: bool) -> None:
        self._exact = exact

    def format_field(self, value: Any, format_spec: str) -> str:
        kind, _, noun = format_spec.partition(" ")
        return units.plural(value, noun) if noun else cell(value, kind or "text", self._exact)


def text(line: Line, exact: bool = False) -> str:
    """The line; of a sentence, with its values in it."""
    if isinstance(line, Sentence):
        return _Words(exact).vformat(line.template, (), line.values)
    return line


def cell(value: Cell | None, kind: str, exact: bool = False) -> str:
    """One value, by its kind; ``-`` if nothing tells."""
    match value:
        case None:
            return BUILT_IN if kind == "module" else "-"
        case Absent():
            return value.mark
        case bool():
            return "yes" if value else "no"
        case str():
            return value or (BUILT_IN if kind == "module" else "")
    match kind:
        case "bytes":
            return units.size(value, exact)
        case "growth":
            return units.growth(value, exact)
        case "count":
            return units.count(int(value))
        case "change":
            return units.more(int(value))
        case "share":
            return units.share(value, 1)
        case "seconds":
            return units.duration(value)
    return str(value)
