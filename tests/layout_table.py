# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table of layouts in docs/architecture.md: ``python -m tests.layout_table`` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from allocdump.kernel.layouts import LAYOUTS

PAGE = Path(__file__).parent.parent / "docs" / "architecture.md"
_PLACE = re.compile(r"(<!-- layouts -->\n).*?(<!-- end of layouts -->\n)", re.DOTALL)


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


def with_table(page: str) -> str:
    """The page, with the table as it is now."""
    return _PLACE.sub(lambda found: found[1] + table() + found[2], page)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
