# SPDX-License-Identifier: LGPL-2.1-or-later
"""Documents as self-contained HTML pages.

Everything shown may come from an untrusted dump. It is escaped where it is written, and
the page's own content security policy lets only its two scripts run, by their hashes,
and nothing be loaded from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from ... import __version__
from ...analysis.usage import Node
from .. import units
from ..model import (
    Absent,
    Block,
    Cell,
    CodeBlock,
    Column,
    ColumnKind,
    Document,
    Fact,
    Facts,
    Items,
    Section,
    Table,
    Text,
    Treemap,
)
from ..renderer import PLAIN, How
from ..sentence import cell, text
from .library import Library, plotly

_KINDS: dict[ColumnKind, str] = {
    "module": "code",
    "flag": "text",
    "bytes": "size",
    "change": "more",
    "seconds": "duration",
}
"""Names of kinds in page.js and page.css, where they differ."""

# What a viewer without scripts, such as the preview of a mail, shows of a table.
_WITHOUT_SCRIPT = 20

_FEW = 5
"""Rows that nobody needs a search for."""
_SEARCH = '<label>Search <input type="search" autocomplete="off" spellcheck="false"></label>'


def render(document: Document, how: How = PLAIN) -> str:
    """A document as a page; its numbers are exact in it, however they are shown.

    :raises ExtraError: if it has a treemap, and the charting library is not installed
    """
    parts = [(section, section.seen("page")) for section in document.sections]
    parts = [(section, blocks) for section, blocks in parts if blocks]
    library = None
    if any(isinstance(block, Treemap) for _, blocks in parts for block in blocks):
        library = plotly()
    script, style = _own("page.js"), _own("page.css")
    policy = _policy([script, library.text] if library else [script])
    sections = [_section(i, section, blocks) for i, (section, blocks) in enumerate(parts)]
    if document.chapters:
        sections.insert(1, _facts(document))
    body = [
        _header(document),
        *sections,
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
            f"<title>{escape(document.title)}: {escape(document.subject)}</title>",
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


def _header(document: Document) -> str:
    lead = text(document.lead.value) if document.lead else ""
    tone = document.tone or "neither"
    out = ["<header>"]
    if document.chapters and lead:
        about = f"{document.title}: {document.subject}"
        badge = f' <span class="badge {tone}">{escape(document.badge)}</span>'
        out.append(f'<p class="kicker">{escape(about)}{badge if document.badge else ""}</p>')
        out.append(f'<h1 class="lead {tone}">{escape(lead)}</h1>')
    else:
        out.append(f'<p class="kicker">{escape(document.title)}</p>')
        out.append(f"<h1>{escape(document.subject)}</h1>")
        out += [f'<p class="lead">{escape(lead)}</p>'] if lead else []
    if document.below:
        out += ['<dl class="facts">', *map(_pair, document.below), "</dl>"]
    out.append('<dl class="figures">')
    out += map(_pair, document.figures)
    out.append("</dl>")
    if not document.chapters:
        out.append(_facts(document))
    if document.problems:
        out.append('<ul class="warnings" aria-label="Warnings">')
        out += [f"<li>{escape(problem)}</li>" for problem in document.problems]
        out.append("</ul>")
    return "\n".join([*out, "</header>"])


def _facts(document: Document) -> str:
    pairs = "\n".join(_pair(fact) for fact in document.facts if fact.value)
    return f'<dl class="facts">\n{pairs}\n</dl>'


def _pair(fact: Fact) -> str:
    value = escape(text(fact.value))
    return f"<div><dt>{escape(fact.label)}</dt><dd>{value}</dd></div>"


def _section(number: int, section: Section, blocks: list[Block]) -> str:
    name, heading = f"section-{number}", text(section.heading)
    out = [f'<section aria-labelledby="{name}">']
    out.append(f'<h2 id="{name}">{escape(heading)}</h2>')
    for block in blocks:
        out += _block(block, name, heading)
    return "\n".join([*out, "</section>"])


def _block(block: Block, name: str, heading: str) -> Iterator[str]:
    match block:
        case Table():
            yield _table(name, block)
        case Treemap():
            yield _paragraph(block.caption)
            yield _treemap(heading, block)
        case CodeBlock():
            if block.lines:
                yield "<pre>" + "\n".join(escape(text(line)) for line in block.lines) + "</pre>"
        case Facts():
            yield from (_paragraph(f"{fact.label}: {text(fact.value)}") for fact in block.facts)
        case Items():
            for item in block.items:
                yield from map(_paragraph, [text(item.title), *map(text, item.details)])
        case Text():
            yield from (_paragraph(text(line)) for line in block.lines)


def _paragraph(line: str) -> str:
    return f"<p>{escape(line)}</p>"


def _treemap(heading: str, tree: Treemap) -> str:
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
    shown = table.visible()
    columns = [table.columns[i] for i in shown]
    values = [[_value(row[i], table.columns[i]) for row in table.rows] for i in shown]
    rows = len(table.rows)
    head = "".join(
        f'<th scope="col" class="{_kind(c)}">'
        f'<button type="button">{escape(c.heading)}</button></th>'
        for c in columns
    )
    body = "\n".join(
        "<tr>" + "".join(_cell(c, v[i]) for c, v in zip(columns, values, strict=True)) + "</tr>"
        for i in range(min(rows, _WITHOUT_SCRIPT))
    )
    nouns = table.nouns or f"{table.noun}s"
    data = {
        "nouns": [table.noun, nouns],
        "notAdded": list(table.not_added),
        "total": next((i for i, c in enumerate(columns) if c.key == table.total), None),
        "columns": [
            {"kind": _kind(c), "name": c.names, "values": v}
            for c, v in zip(columns, values, strict=True)
        ],
    }
    return (
        f'<div class="table">{_data(data)}\n<div class="tools">'
        f"{_SEARCH if rows > _FEW else ''}"
        f'<output aria-live="polite">{units.count(rows)} {nouns}</output></div>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-labelledby="{name}">\n'
        f'<table aria-rowcount="{rows + 1}"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table>\n</div></div>"
    )


def _kind(column: Column) -> str:
    return _KINDS.get(column.kind, column.kind)


def _value(value: Cell, column: Column) -> str | int | float | None:
    """A number as it is, anything else as text; None is shown as a dash, and sorted last."""
    if isinstance(value, Absent):
        return None if column.numeric or value.mark == "-" else value.mark
    return value if column.numeric else cell(value, column.kind)


def _cell(column: Column, value: str | int | float | None) -> str:
    shown = "-" if value is None else escape(cell(value, column.kind))
    inside = f"<bdi>{shown}</bdi>" if column.kind == "path" else shown
    return f'<td class="{_kind(column)}">{inside}</td>'
