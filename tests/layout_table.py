# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tables of layouts in docs/architecture.md, and of bugs in docs/known-bugs.md.

``python -m tests.layout_table`` writes them anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from allocdump.kernel.bugs import Bug, KnownBug
from allocdump.kernel.layouts import LAYOUTS

DOCS = Path(__file__).parent.parent / "docs"


def table() -> str:
    """A row for each variant, newest first."""
    rows = [
        "| structure | since | variant | Linux kernel commit | bundled dump |",
        "|---|---|---|---|---|",
    ]
    for layout in LAYOUTS:
        name = layout.structure()
        for variant in layout:
            v = variant.value
            dump = f"`{v.dump}`" if v.dump else "none"
            rows.append(f"| {name} | {v.since} | {v.text} | {v.commit} | {dump} |")
            name = ""
    return "\n".join(rows) + "\n"


def bugs() -> str:
    """A row for each bug."""
    rows = ["| bug | effect | fix | since | fixed |", "|---|---|---|---|---|"]
    for bug in Bug:
        b: KnownBug = bug.value
        fix = f'{b.commit} ("{b.subject}")' if b.commit else ""
        rows.append(f"| {b.title} | {b.effect} | {fix} | {b.since} | {b.fixed} |")
    return "\n".join(rows) + "\n"


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "architecture.md": ("layouts", table),
    "known-bugs.md": ("bugs", bugs),
}
"""Pages in docs/, what the table is marked with there, and the table."""


def with_table(name: str, page: str) -> str:
    """The page of that name, with the table as it is now."""
    mark, made = TABLES[name]
    place = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end of {mark} -->\n)", re.DOTALL)
    assert len(place.findall(page)) == 1
    return place.sub(lambda found: found[1] + made() + found[2], page)


if __name__ == "__main__":
    for name in TABLES:
        (DOCS / name).write_text(with_table(name, (DOCS / name).read_text()))
