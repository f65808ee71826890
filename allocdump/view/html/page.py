# SPDX-License-Identifier: LGPL-2.1-or-later
"""One self-contained HTML page out of facts, texts, tables and trees.

Everything shown may come from an untrusted dump. It is escaped where it is written, and
the page's own content security policy lets only its two scripts run, by their hashes,
and nothing be loaded from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Literal

from ... import __version__
from ...analysis.usage import Node
from .. import units
from .library import Library, plotly

Kind = Literal[
    "text", "code", "path", "size", "growth", "count", "more", "number", "share", "duration"
]
"""Meaning of a column's values: texts (of a long path the end); or numbers of bytes, bytes with
a sign, a count, a count with a sign, a number that counts nothing (a pid), a part of one,
seconds."""

_FORMATS: dict[str, Callable[[Any], str]] = {
    "text": str,
    "code": str,
    "path": str,
    "size": units.size,
    "growth": units.growth,
    "count": units.count,
    "more": units.more,
    "number": str,
    "share": lambda value: units.share(value, 1),
    "duration": units.duration,
}
Tone = Literal["good", "bad"]

# What a viewer without scripts, such as the preview of a mail, shows of a table.
_WITHOUT_SCRIPT = 20


@dataclass
class Column:
    """A column of a table; None is shown as a dash, and sorted last."""

    heading: str
    kind: Kind
    values: Sequence[Any]


@dataclass
class Table:
    """Columns of one length. Rows are shown in the given order until the reader sorts them."""

    columns: list[Column]
    noun: str = "row"
    """Name of a row, for ``1,214 sites``."""
    nouns: str = ""
    """Its plural, if that is not made with an s."""
    total: str = ""
    """Heading of a column to add up for the rows that match a search."""


@dataclass
class Tree:
    """Memory as a treemap. Each node's bytes are the sum of its children's."""

    root: Node
    tones: dict[str, Tone] = field(default_factory=dict)
    """Meaning of the root's children, by their names; they have colours of their own else."""


@dataclass
class Section:
    """A part of a page, in this order: text, commands, treemap, table."""

    heading: str
    lines: Sequence[str] = ()
    """Paragraphs."""
    code: Sequence[str] = ()
    """Lines to copy into a shell."""
    tree: Tree | None = None
    table: Table | None = None


@dataclass
class Page:
    title: str
    """Kind of page: ``Allocation report``."""
    heading: str
    """Subject of the page: ``Linux 6.12.117``."""
    lead: str = ""
    """The most important sentence."""
    figures: Sequence[tuple[str, str]] = ()
    """A few numbers with their names, shown large: ``("Call sites", "1,214")``."""
    facts: Sequence[tuple[str, str]] = ()
    """Names and values, shown small; those without a value are left out."""
    warnings: Sequence[str] = ()
    sections: Sequence[Section] = ()


def render(page: Page) -> str:
    """The page as HTML.

    :raises OutputError: if it has a tree, and the charting library is not installed
    """
    library = plotly() if any(section.tree for section in page.sections) else None
    script, style = _own("page.js"), _own("page.css")
    policy = _policy([script, library.text] if library else [script])
    body = [
        _header(page),
        *(_section(i, section) for i, section in enumerate(page.sections)),
        f"<footer>Made by allocdump {escape(__version__)}. This page holds all it shows, and"
        " loads nothing.</footer>",
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
            '<meta name="referrer" content="no-referrer">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(page.title)}: {escape(page.heading)}</title>",
            f"<style>\n{style}</style>",
            "</head>",
            "<body>",
            "<main>",
            *body,
            "</main>",
            *([_packed(library)] if library else []),
            f"<script>{script}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


@cache
def _own(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _policy(scripts: list[str]) -> str:
    hashes = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    allowed = " ".join(f"'sha256-{hash_}'" for hash_ in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )


def _packed(library: Library) -> str:
    return (
        f"<!-- {escape(library.notice)} -->\n"
        f'<script type="text/plain" id="library">{library.packed}</script>'
    )


def _data(value: Any) -> str:
    """JSON inside of a script element: nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json">{text}</script>'


def _header(page: Page) -> str:
    out = ["<header>", f'<p class="kicker">{escape(page.title)}</p>']
    out.append(f"<h1>{escape(page.heading)}</h1>")
    if page.lead:
        out.append(f'<p class="lead">{escape(page.lead)}</p>')
    out.append('<dl class="figures">')
    out += [_pair(name, value) for name, value in page.figures]
    out.append('</dl>\n<dl class="facts">')
    out += [_pair(name, value) for name, value in page.facts if value]
    out.append("</dl>")
    if page.warnings:
        out.append('<ul class="warnings" aria-label="Warnings">')
        out += [f"<li>{escape(warning)}</li>" for warning in page.warnings]
        out.append("</ul>")
    return "\n".join([*out, "</header>"])


def _pair(name: str, value: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _section(number: int, section: Section) -> str:
    name = f"section-{number}"
    out = [f'<section aria-labelledby="{name}">']
    out.append(f'<h2 id="{name}">{escape(section.heading)}</h2>')
    out += [f"<p>{escape(line)}</p>" for line in section.lines]
    if section.code:
        out.append("<pre>" + "\n".join(map(escape, section.code)) + "</pre>")
    if section.tree:
        out.append(_tree(section.heading, section.tree))
    if section.table:
        out.append(_table(name, section.table))
    return "\n".join([*out, "</section>"])


def _tree(heading: str, tree: Tree) -> str:
    def node(n: Node) -> list[Any]:
        children = [child for child in map(node, n.children) if child[1] > 0]
        # An area cannot be less than nothing, and must be that of what is in it.
        size = sum(child[1] for child in children) if n.children else n.bytes
        return [n.name, size, n.note, children]

    label = f"{heading}: treemap; the table below has the same in text"
    return (
        f'<div class="chart" role="img" aria-label="{escape(label)}">'
        f"{_data({'root': node(tree.root), 'tones': tree.tones})}"
        '<p class="note">The chart needs a browser with scripts.</p></div>'
    )


def _table(name: str, table: Table) -> str:
    columns = table.columns
    rows = len(columns[0].values) if columns else 0
    head = "".join(
        f'<th scope="col" class="{c.kind}"><button type="button">{escape(c.heading)}</button></th>'
        for c in columns
    )
    body = "\n".join(
        "<tr>" + "".join(_cell(c, c.values[i]) for c in columns) + "</tr>"
        for i in range(min(rows, _WITHOUT_SCRIPT))
    )
    nouns = table.nouns or f"{table.noun}s"
    data = {
        "nouns": [table.noun, nouns],
        "total": next((i for i, c in enumerate(columns) if c.heading == table.total), None),
        "columns": [{"kind": c.kind, "values": list(c.values)} for c in columns],
    }
    return (
        f'<div class="table">{_data(data)}\n<div class="tools">'
        '<label>Search <input type="search" autocomplete="off" spellcheck="false"></label>'
        f'<output aria-live="polite">{units.count(rows)} {nouns}</output></div>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-labelledby="{name}">\n'
        f'<table aria-rowcount="{rows + 1}"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table>\n</div></div>"
    )


def _cell(column: Column, value: Any) -> str:
    text = "-" if value is None else _FORMATS[column.kind](value)
    inside = f"<bdi>{escape(text)}</bdi>" if column.kind == "path" else escape(text)
    return f'<td class="{column.kind}">{inside}</td>'
