# SPDX-License-Identifier: LGPL-2.1-or-later
"""A round of watching as a document."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..analysis.growth import Growth
from ..analysis.report import Origin
from ..sentence import say
from ..text import host_name
from . import units
from .header import kernel
from .model import Block, Cell, Column, Document, Line, Section, Table, Text
from .site import NOTE, SITE, beside, notes, site_cells

_COLUMNS = (
    Column("growth", "growth", priority=0),
    Column("last", "growth", zero="-"),
    Column("calls", "change", priority=2),
    Column("bytes", "bytes", "Size"),
    *SITE,
    NOTE,
)


def document(origin: Origin, growth: Growth, rows: npt.NDArray[np.intp]) -> Document:
    """The sums over all sites, and the given rows of the growth."""
    minutes, seconds = divmod(int(growth.elapsed), 60)
    head: list[Line] = [
        " | ".join(
            [
                kernel(origin.system),
                f"{minutes}:{seconds:02} since the start",
                units.plural(len(growth.sites), "site"),
                host_name(origin.system.hostname) or origin.core,
            ]
        ),
        say(
            "{grown:growth} in {calls} allocations; {size:bytes} now",
            grown=growth.total_bytes,
            calls=f"{growth.total_calls:+,}",
            size=growth.now.bytes,
        ),
        *beside(growth.now),
    ]
    block: Block = _table(growth, rows) if len(rows) else Text(["No site has grown."])
    return Document(
        "Watch",
        kernel(origin.system),
        head=head,
        sections=[Section("Growth since the start", [block])],
    )


def _table(growth: Growth, rows: npt.NDArray[np.intp]) -> Table:
    sites = growth.sites.take(rows)
    size, last, calls = (c[rows].tolist() for c in (growth.bytes, growth.last, growth.calls))
    now, remarks = sites.bytes.tolist(), notes(sites)
    body: list[list[Cell]] = [
        [size[i], last[i], calls[i], now[i], *site_cells(sites.name(i)), remarks[i]]
        for i in range(len(rows))
    ]
    return Table(_COLUMNS, body, noun="site", total="growth")
