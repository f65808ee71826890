# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report as a table for a terminal or a bug tracker."""

from __future__ import annotations

from collections.abc import Callable

from tabulate import tabulate

from ..analysis.report import BUILT_IN, Report, Rows, Total
from ..kernel.tags.sites import UNKNOWN, Evidence, Sites
from . import units
from .header import header

Style = Callable[..., str]
Column = tuple[str, list[str], str]
"""Heading, cells, alignment."""

NAME_HEADINGS = {
    "site": "SITE",
    "function": "FUNCTION",
    "file": "FILE",
    "directory": "DIRECTORY",
    "module": "MODULE",
}
_MIN_NAME = 12


def notes(sites: Sites) -> list[str]:
    """Notes on each site; mostly empty."""
    out = []
    for i in range(len(sites)):
        words = []
        if sites.unloaded[i]:
            words.append("module unloaded")
        if sites.inferred[i]:
            words.append("name inferred" if sites.module[i] != UNKNOWN else "name lost")
        if sites.evidence[i] == Evidence.KERNEL_LOG:
            words.append("size from kernel log")
        elif sites.evidence[i] == Evidence.NONE:
            words.append("size unknown" if sites.unloaded[i] else "counters incomplete")
        if sites.inaccurate[i]:
            words.append("inaccurate")
        out.append(", ".join(words))
    return out


def render(
    report: Report,
    rows: Rows,
    shown: Total,
    whole: Total,
    *,
    exact: bool = False,
    width: int | None = None,
    style: Style = lambda text, **_: text,
) -> str:
    """The table, with a header line and totals.

    :param shown: total of what was chosen, of which *rows* may be the top
    :param whole: total of the report
    :param width: columns available; None is as many as it takes
    :param style: like :func:`click.style`
    """
    columns: list[Column] = [
        ("SIZE", [units.size(b, exact) for b in rows.bytes.tolist()], "right"),
        ("CALLS", [units.count(c) for c in rows.calls.tolist()], "right"),
        ("AVERAGE", [units.size(a, exact) for a in rows.average().tolist()], "right"),
        ("SHARE", [units.share(b, whole.bytes) for b in rows.bytes.tolist()], "right"),
    ]
    columns.append((NAME_HEADINGS[rows.by], list(rows.name), "left"))
    if rows.sites is None:
        columns.insert(2, ("SITES", [units.count(c) for c in rows.count.tolist()], "right"))
    else:
        sites = rows.sites
        for i, evidence in enumerate(sites.evidence.tolist()):
            if evidence != Evidence.COUNTER and sites.unloaded[i]:
                columns[1][1][i] = columns[2][1][i] = "-"
        columns.append(("FUNCTION", list(sites.function), "left"))
        columns.append(("MODULE", [m or BUILT_IN for m in sites.module], "left"))
        remarks = notes(sites)
        if any(remarks):
            columns.append(("NOTE", remarks, "left"))
    lines = lay_out(columns, width, style)
    out = [header(report), "", *lines, "", _totals(rows, shown, whole, exact)]
    if len(report.types) > 1:
        # Allocation sites are the tags of one type; a kernel can have others.
        kinds = (f"{kind.name} ({units.count(kind.count)})" for kind in report.types)
        out.append(f"code tag types: {', '.join(kinds)}")
    return "\n".join(out) + "\n"


def lay_out(columns: list[Column], width: int | None, style: Style) -> list[str]:
    """Lines of a table, the headings first; names in it are shortened to fit."""
    fit(columns, width)
    # The headings are a row of their own: tabulate would pad them.
    table = tabulate(
        list(zip(*([c[0], *c[1]] for c in columns), strict=True)),
        tablefmt="plain",
        disable_numparse=True,
        colalign=[c[2] for c in columns],
    )
    lines = [line.rstrip() for line in table.splitlines()]
    lines[0] = style(lines[0], bold=True)
    return lines


def fit(columns: list[Column], width: int | None) -> None:
    """Shorten names so that the table fits into *width* columns.

    Paths lose their front, since their end says more; if that is not enough, functions
    lose their end.
    """
    if width is None:
        return
    names = [cells for title, cells, _ in columns if title in NAME_HEADINGS.values()]
    for cells, cut in zip(names, (_keep_end, _keep_start), strict=False):
        widths = [max(map(len, [title, *column])) for title, column, _ in columns]
        excess = sum(widths) + 2 * (len(widths) - 1) - width
        limit = max(max(map(len, cells), default=0) - excess, _MIN_NAME)
        if excess > 0:
            cells[:] = [text if len(text) <= limit else cut(text, limit) for text in cells]


def _keep_end(text: str, length: int) -> str:
    return "…" + text[1 - length :]


def _keep_start(text: str, length: int) -> str:
    return text[: length - 1] + "…"


def _totals(rows: Rows, shown: Total, whole: Total, exact: bool) -> str:
    listed = units.plural(len(rows), "site" if rows.by == "site" else "group")
    parts = [f"{listed} shown: {units.size(int(rows.bytes.sum()), exact)}"]
    if len(rows) and int(rows.count.sum()) != shown.sites:
        parts.append(
            f"{units.plural(shown.sites, 'site')} chosen: {units.size(shown.bytes, exact)}"
        )
    parts.append(
        f"all {units.plural(whole.sites, 'site')}: {units.size(whole.bytes, exact)}"
        f" in {units.plural(whole.calls, 'allocation')}"
    )
    return "; ".join(parts)
